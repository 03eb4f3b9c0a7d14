"""Data sets: list, check, import, fetch."""
