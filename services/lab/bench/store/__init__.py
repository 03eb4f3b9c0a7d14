"""The benchmark of the record store."""
