"""Statistics of runs, computed from the record."""
