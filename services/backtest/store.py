"""Where finished backtests are kept, so that a report can be made of them later."""

import gzip
from pathlib import Path
from typing import Final

import msgspec

from services.reports.run_facts import RunFacts

FOLDER: Final = "backtests"
SUFFIX: Final = ".json.gz"
COMPRESSION: Final = 1


class NoBacktestError(LookupError):
    """No backtest has that id, or several begin with it."""


def save(home: Path, facts: RunFacts) -> Path:
    """Write a backtest's facts; the same backtest run again replaces its file.

    Args:
        home: The folder that CLAIRE_HOME names.
        facts: Of the whole run.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (facts.run_id + SUFFIX)
    unfinished = path.with_name(f".{path.name}.part")
    with gzip.open(unfinished, "wb", compresslevel=COMPRESSION) as file:
        file.write(msgspec.json.encode(facts))
    unfinished.replace(path)
    return path


def load(home: Path, run_id: str) -> RunFacts:
    """A saved backtest.

    Args:
        home: The folder that CLAIRE_HOME names.
        run_id: Its id or the beginning of it; ``last`` is the newest.

    Raises:
        NoBacktestError: There is none, several begin so, or its file is of another version.
    """
    path = find(home, run_id)
    try:
        with gzip.open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=RunFacts)
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise NoBacktestError(
            f"{path} cannot be read ({error}): it is damaged or of another version of this program;"
            " run the backtest again"
        ) from None


def find(home: Path, run_id: str) -> Path:
    """The file of a saved backtest.

    Raises:
        NoBacktestError: There is none, or several begin so.
    """
    files = sorted((home / FOLDER).glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    if run_id == "last" and files:
        return files[-1]
    found = [path for path in files if path.name.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(path.name.removesuffix(SUFFIX)[:12] for path in files[-5:]) or "none"
    problem = "several backtests begin with" if found else "no backtest has the id"
    raise NoBacktestError(f"{problem} {run_id!r}; the last ones are: {known}")
