"""Backtests: the live stages in one process, on recorded or synthetic markets."""
