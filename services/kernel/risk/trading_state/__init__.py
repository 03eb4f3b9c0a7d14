"""The trading state of the account and of each symbol."""
