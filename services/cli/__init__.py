"""The `claire` command: thin, one module per group of verbs."""
