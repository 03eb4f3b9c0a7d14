"""Reading what was recorded, from the database or from an exported file."""
