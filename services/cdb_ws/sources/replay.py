"""The source ``replay``: recorded files, merged by time, with the clocks between them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from heapq import merge
from pathlib import Path

from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.clocks import ClockRule
from services.cdb_ws.sources.files import instrument_file
from services.cdb_ws.sources.files.csv_files import price_decimals
from services.cdb_ws.sources.files.file_names import DataFile, describe
from services.cdb_ws.sources.files.instrument_file import FALLBACK_TICK, ContractDetails
from services.cdb_ws.sources.files.tick_files import Observation, open_rows, open_tick_file
from services.cdb_ws.sources.files.venue_units import VenueUnits, require_units, units_of
from services.cdb_ws.sources.recorded import Step
from services.kernel.events import MarketData
from services.kernel.instruments.contracts import Instrument, generic_instrument
from services.runtime.intake.event_time import STALE_MS

Refuse = Callable[[MarketData], None]
"""Takes a tick that is too old to be published."""


class Replay:
    """Recorded files as one market.

    Events of the same millisecond come in the order of symbol, kind and file name, then of the
    rows in their file: the order in which the files are given does not matter.

    Args:
        paths: The files, their names as ``file_names`` describes.
        run_id: The run that the events belong to.
        instruments: A file with contract details, if there is one.
        behind_ms: A row so much older than the newest before it is left out.
        refuse: Called with each tick that is left out.

    Raises:
        DataError: A file is missing, given twice, or unusable.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        run_id: str,
        instruments: Path | None = None,
        *,
        behind_ms: int = STALE_MS,
        refuse: Refuse = lambda _: None,
    ) -> None:
        self._run_id = run_id
        self._behind_ms = behind_ms
        self._refuse = refuse
        self._read_before = False
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
        self._read_before = cursor < after
        for timestamp, observation in self._clock_rule.insert(self._timed()):
            cursor += 1
            if cursor <= after:
                self._read_before = cursor < after
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
        newest = 0
        for observation in merged:
            timestamp = observation[0]
            if timestamp >= newest:
                newest = timestamp
            elif timestamp < newest - self._behind_ms:
                self._leave_out(observation)
                continue
            yield timestamp, observation

    def _leave_out(self, observation: Observation) -> None:
        """A row's time is too far behind event time."""
        file = self._files[observation[1]]
        file.rows.skipped["time_behind"] += 1
        file.rows.accepted -= 1
        if not self._read_before:
            self._refuse(file.tick(observation))


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
    decimals: dict[str, list[int]] = defaultdict(list)
    sizes: dict[str, VenueUnits] = {}
    starts: list[int] = []
    for file in files:
        details = known.get(file.symbol)
        require_units(file, details.contract if details else None)
        rows = open_rows(file)
        starts.append(next(iter(rows))[0])
        found = price_decimals(rows)
        decimals[file.symbol] += [] if found is None else [found]
        units = units_of(file)
        if units is not None and units.contract_size is not None:
            sizes[file.symbol] = units
    return tuple(
        _contract(symbol, known.get(symbol), sizes.get(symbol), max(found, default=None))
        for symbol, found in sorted(decimals.items())
    ), min(starts)


def _contract(
    symbol: str, details: ContractDetails | None, units: VenueUnits | None, decimals: int | None
) -> Instrument:
    """A symbol's contract, its tick from the prices' decimals unless its details state one."""
    tick_size = FALLBACK_TICK if decimals is None else Decimal(1).scaleb(-decimals)
    if details is not None:
        return details.with_tick(tick_size)
    if units is None:
        return generic_instrument(symbol, tick_size)
    return generic_instrument(
        symbol, tick_size, inverse=units.inverse, contract_size=units.contract_size
    )
