"""The bus's server in memory: the same commands and functions, for tests and simulations."""
