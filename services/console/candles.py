"""One-minute candles of every symbol of a run, kept up to date from the record's ticks."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.runtime.database.connections import Connection

MINUTE_MS: Final = 60_000
STEP_SEQS: Final = 250_000
"""Events that one statement aggregates; it takes about a second."""
MOST_SEQS: Final = 5_000_000
"""Events behind the newest that are read at first; older candles are left out, and it is said."""
INTERVALS: Final = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
"""Name of an interval to its length in minutes."""


class Candle(NamedTuple):
    """Trades of one interval.

    Attributes:
        at: Begin of the interval, Unix ms.
        volume: Base quantity, or contracts where the venue counts these.
    """

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(slots=True)
class _Run:
    """What is known of one run.

    Attributes:
        after: Seq up to which its ticks are in ``candles``.
        is_whole: Whether the candles begin with the run's first tick.
        candles: By symbol and begin of the minute, Unix ms.
    """

    after: int
    is_whole: bool
    candles: dict[str, dict[int, Candle]]


class CandleBook:
    """The candles of the runs that pages look at, the two newest looked at are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def symbols(self, connection: Connection, run_id: str) -> list[str]:
        """The symbols that traded in a run, in alphabetical order."""
        return sorted(self._updated(connection, run_id).candles)

    def candles(
        self, connection: Connection, run_id: str, symbol: str, minutes: int
    ) -> tuple[list[Candle], bool]:
        """The candles of one symbol, oldest first.

        Args:
            connection: To the record.
            run_id: Which run.
            symbol: One of `symbols`; another has no candles.
            minutes: Length of a candle.

        Returns:
            The candles, and whether they begin with the run's first trade.
        """
        run = self._updated(connection, run_id)
        found = sorted(run.candles.get(symbol, {}).values())
        return merged(found, minutes), run.is_whole

    def _updated(self, connection: Connection, run_id: str) -> _Run:
        with self._lock:
            upto = _last_tick(connection, run_id)
            run = self._runs.pop(run_id, None) or _begin(connection, run_id, upto)
            self._runs[run_id] = run
            while len(self._runs) > 2:
                del self._runs[next(iter(self._runs))]
            while run.after < upto:
                step = min(upto, run.after + STEP_SEQS)
                _add(run, connection.execute(_TRADES, (run_id, run.after, step)).fetchall())
                run.after = step
            return run


def merged(minutes: Iterable[Candle], length: int) -> list[Candle]:
    """Candles of ``length`` minutes from candles of one minute, both oldest first."""
    result: list[Candle] = []
    span = length * MINUTE_MS
    for candle in minutes:
        at = candle.at - candle.at % span
        if result and result[-1].at == at:
            result[-1] = _joined(result[-1], candle)
        else:
            result.append(candle._replace(at=at))
    return result


def _joined(first: Candle, second: Candle) -> Candle:
    return Candle(
        first.at,
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume + second.volume,
    )


def _add(run: _Run, rows: Iterable[tuple[str, int, float, float, float, float, float]]) -> None:
    for symbol, at, *figures in rows:
        known = run.candles.setdefault(symbol, {})
        candle = Candle(at, *(float(figure) for figure in figures))
        known[at] = _joined(known[at], candle) if at in known else candle


def _begin(connection: Connection, run_id: str, upto: int) -> _Run:
    row = connection.execute(_FIRST, (run_id,)).fetchone()
    first = int(row[0]) if row else upto
    after = max(first, upto - MOST_SEQS)
    return _Run(after=after, is_whole=after == first, candles={})


def _last_tick(connection: Connection, run_id: str) -> int:
    """Seq of the run's last recorded tick; 0 before the first."""
    row = connection.execute(_LAST, (run_id,)).fetchone()
    return int(row[0]) if row else 0


_FIRST: Final = "SELECT seq FROM events WHERE run_id = %s AND type = 'run_started'"
_LAST: Final = """
    SELECT seq FROM events WHERE run_id = %s AND type = 'tick_batch' ORDER BY seq DESC LIMIT 1
"""
_TRADES: Final = """
    SELECT symbol, (extract(epoch FROM date_trunc('minute', "timestamp")) * 1000)::bigint AS at,
           (array_agg(price ORDER BY seq))[1], max(price), min(price),
           (array_agg(price ORDER BY seq DESC))[1], coalesce(sum(volume), 0)
    FROM market_data
    WHERE run_id = %s AND seq > %s AND seq <= %s AND kind = 'trade' AND price IS NOT NULL
    GROUP BY 1, 2 ORDER BY 1, 2
"""
