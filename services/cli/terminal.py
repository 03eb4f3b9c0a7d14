"""Printing tables: as wide as the terminal, and wide enough where there is none."""

from rich.console import Console

FILE_WIDTH = 160


def wide_console() -> Console:
    """A console for tables; what reads a pipe or a file wants whole lines."""
    console = Console()
    return console if console.is_terminal else Console(width=FILE_WIDTH)
