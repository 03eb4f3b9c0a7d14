"""What a run's market data is too coarse for, and what it does not have."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from services.kernel.events import MarketDataKind
from services.kernel.settings.model import TradingSettings
from services.runtime.database.connections import Connection

MS_PER_SECOND: Final = 1_000
MS_PER_HOUR: Final = 3_600_000
QUOTES: Final = frozenset({MarketDataKind.QUOTE, MarketDataKind.DEPTH})


@dataclass(frozen=True, slots=True)
class SymbolData:
    """What a run has of one symbol, backfilled ticks aside.

    Attributes:
        kinds: Kinds of market data that came.
        newest: Time of the newest tick, Unix ms.
        point_gap_ms: Usual time between two points, where its trades are made from bars.
    """

    symbol: str
    kinds: frozenset[str]
    newest: int
    point_gap_ms: int | None


def data_notes(connection: Connection, run_id: str, settings: TradingSettings) -> tuple[str, ...]:
    """One sentence for each thing that the data of a run cannot show.

    Args:
        connection: The database; only read.
        run_id: Which run.
        settings: The run's.
    """
    rows = connection.execute(_KINDS, (run_id,)).fetchall()
    gaps: dict[str, int] = dict(connection.execute(_POINT_GAPS, (run_id,)).fetchall())
    kinds: dict[str, set[str]] = defaultdict(set)
    newest: dict[str, int] = {}
    for symbol, kind, at in rows:
        kinds[symbol].add(kind)
        newest[symbol] = max(newest.get(symbol, 0), at)
    known = [
        SymbolData(symbol, frozenset(kinds[symbol]), newest[symbol], gaps.get(symbol))
        for symbol in sorted(kinds)
    ]
    return notes_of(known, settings)


def notes_of(known: Iterable[SymbolData], settings: TradingSettings) -> tuple[str, ...]:
    """The sentences about these symbols; one names all symbols that it is true of."""
    symbols = tuple(known)
    found: dict[str, list[str]] = defaultdict(list)
    end = max((data.newest for data in symbols), default=0)
    for data in symbols:
        for note in (*_too_coarse(data, settings), *_missing(data, settings, end)):
            found[note].append(data.symbol)
    return tuple(f"{', '.join(names)}: {note}" for note, names in found.items())


def _too_coarse(data: SymbolData, settings: TradingSettings) -> list[str]:
    gap = data.point_gap_ms
    if gap is None:
        return []
    points = f"trades are made from bars, a point every {_number(gap, MS_PER_SECOND)} s"
    notes = []
    if settings.sim_latency_ms < gap:
        notes.append(
            f"{points}: too coarse for SIM_LATENCY_MS={settings.sim_latency_ms}, every latency"
            " below that gives the same fills"
        )
    if settings.order_expiry_sec * MS_PER_SECOND < gap:
        notes.append(
            f"{points}: too coarse for ORDER_EXPIRY_SEC={settings.order_expiry_sec}, an entry"
            " meets the next point before it expires"
        )
    return notes


def _missing(data: SymbolData, settings: TradingSettings, end: int) -> list[str]:
    notes = []
    if MarketDataKind.TRADE not in data.kinds:
        notes.append("no trades: no signals, and nothing to take but what is quoted")
    if not data.kinds & QUOTES:
        notes.append(
            "no quotes or books: half the spread is"
            f" SIM_HALF_SPREAD_PCT={settings.sim_half_spread_pct}, its anomalies go unseen"
        )
    if MarketDataKind.MARK not in data.kinds:
        notes.append("no mark prices: positions, stops and liquidation use the last trade")
    if MarketDataKind.FUNDING not in data.kinds:
        notes.append("no funding rates: no funding is booked")
    silent = end - data.newest
    if silent > settings.data_stale_timeout_sec * MS_PER_SECOND:
        hours = _number(silent, MS_PER_HOUR)
        notes.append(f"no data in the last {hours} h: its last price stands for that time")
    return notes


def _number(amount: int, unit: int) -> str:
    """An amount in a larger unit, with at most two decimals."""
    text = f"{(Decimal(amount) / unit).quantize(Decimal('0.01')):f}"
    return text.rstrip("0").rstrip(".")


_KINDS: Final = """
    SELECT symbol, kind, (extract(epoch FROM max("timestamp")) * 1000)::bigint
    FROM market_data
    WHERE run_id = %s AND symbol IS NOT NULL AND NOT backfill
    GROUP BY symbol, kind
"""
_POINT_GAPS: Final = """
    SELECT symbol, (percentile_disc(0.5) WITHIN GROUP (ORDER BY gap) * 1000)::bigint
    FROM (
        SELECT symbol,
            extract(epoch FROM "timestamp" - lag("timestamp")
                OVER (PARTITION BY symbol ORDER BY "timestamp", seq)) AS gap
        FROM market_data
        WHERE run_id = %s AND kind = 'trade' AND NOT backfill AND body ->> 'bar' IS NOT NULL
    ) AS points
    WHERE gap > 0
    GROUP BY symbol
"""
