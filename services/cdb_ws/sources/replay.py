"""The source ``replay``: recorded files, merged by time, with the clocks between them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Final

from services.cdb_ws import ticks
from services.cdb_ws.clocks import ClockRule
from services.cdb_ws.sources import instrument_file
from services.cdb_ws.sources.csv_files import first_decimals
from services.cdb_ws.sources.data_error import DataError
from services.cdb_ws.sources.file_names import DataFile, describe
from services.cdb_ws.sources.recorded import Step
from services.cdb_ws.sources.tick_files import Observation, open_rows, open_tick_file
from services.kernel.instruments import Instrument, generic_instrument

SURVEYED_ROWS: Final = 2_000
"""Rows at the beginning of each file that its tick size is taken from."""


class Replay:
    """Recorded files as one market.

    Events of the same millisecond come in the order of symbol, kind and file name, then of the
    rows in their file: the order in which the files are given does not matter.

    Args:
        paths: The files, their names as ``file_names`` describes.
        run_id: The run that the events belong to.
        instruments: A file with contract details, if there is one.

    Raises:
        DataError: A file is missing, given twice, or unusable.
    """

    def __init__(self, paths: Sequence[Path], run_id: str, instruments: Path | None = None) -> None:
        self._run_id = run_id
        files = _in_fixed_order(paths)
        self.contracts, self.first_timestamp = survey(files, instruments)
        by_symbol = {contract.symbol: contract for contract in self.contracts}
        self._files = [
            open_tick_file(file, number, by_symbol[file.symbol], run_id)
            for number, file in enumerate(files)
        ]
        self._clock_rule = ClockRule(contract.funding_interval_hours for contract in self.contracts)

    def steps(self, after: int = 0) -> Iterator[Step]:
        """All events behind the cursor ``after``; the cursor counts the events.

        Raises:
            DataError: A structural fault in a file, with its line.
        """
        if after < 1:
            yield 1, ticks.instruments(self._run_id, self.first_timestamp, self.contracts)
        cursor = 1
        for timestamp, observation in self._clock_rule.insert(self._timed()):
            cursor += 1
            if cursor <= after:
                continue
            if observation is None:
                yield cursor, ticks.clock(self._run_id, timestamp)
            else:
                yield cursor, self._files[observation[1]].tick(observation)

    def counts(self) -> dict[str, object]:
        """Per file the rows accepted, and skipped by reason."""
        return {"files": [file.rows.counts() for file in self._files]}

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """File, outcome (``accepted`` or why skipped), and how many rows had it."""
        for file in self._files:
            name = file.rows.file.path.name
            yield name, "accepted", file.rows.accepted
            for reason, count in sorted(file.rows.skipped.copy().items()):
                yield name, reason, count

    def _timed(self) -> Iterator[tuple[int, Observation]]:
        streams = [file.observations() for file in self._files]
        merged = streams[0] if len(streams) == 1 else merge(*streams)
        for observation in merged:
            yield observation[0], observation


def _in_fixed_order(paths: Sequence[Path]) -> list[DataFile]:
    if not paths:
        raise DataError(Path("CDB_DATA"), None, "the replay has no file", "give --data FILE")
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise DataError(path, None, "the file is given twice", "give it once")
        seen.add(path.resolve())
    files = [describe(path) for path in paths]
    return sorted(files, key=lambda file: (file.symbol, file.kind, file.path.name, file.path))


def survey(
    files: Sequence[DataFile], instruments: Path | None = None
) -> tuple[tuple[Instrument, ...], int]:
    """The contracts of a replay, and the time of its first row.

    Raises:
        DataError: A file is unusable.
    """
    known = instrument_file.read(instruments) if instruments else {}
    inverse_symbols = {file.symbol for file in files if file.is_inverse}
    decimals: dict[str, Counter[int]] = defaultdict(Counter)
    starts: list[int] = []
    for file in files:
        found, first = first_decimals(open_rows(file), SURVEYED_ROWS)
        decimals[file.symbol] += found
        if first is not None:
            starts.append(first)
    contracts = tuple(
        known.get(symbol)
        or generic_instrument(
            symbol, instrument_file.tick_size(found), inverse=symbol in inverse_symbols
        )
        for symbol, found in sorted(decimals.items())
    )
    return contracts, min(starts)
