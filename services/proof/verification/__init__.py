"""Proof: the record re-executes to the same bytes, and its rows are what was written."""
