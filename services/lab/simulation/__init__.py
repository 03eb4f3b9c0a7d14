"""The whole system in one process under virtual time: a seed decides what happens when."""
