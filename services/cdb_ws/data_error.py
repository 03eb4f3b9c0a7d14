"""The error for a data file that cannot be used."""

from pathlib import Path


class DataError(Exception):
    """A data file is unusable: says which file, which line, what is wrong, and what to do."""

    def __init__(self, path: Path, line: int | None, problem: str, remedy: str) -> None:
        where = f"{path}" if line is None else f"{path} line {line}"
        super().__init__(f"{where}: {problem}; {remedy}")
        self.path = path
        self.line = line
