"""Soak tests in virtual time."""
