"""Faults that the fake exchange can produce."""
