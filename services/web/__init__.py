"""Scripts and styles of other projects for pages that work without a network."""
