"""The record store in memory: the same promises as PostgreSQL, for tests and simulations."""
