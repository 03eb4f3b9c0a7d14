"""Recorded market data files: names, units, rows."""
