"""The configuration of an engine."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from services.kernel.events import MarketData
from services.runtime.intake.event_time import STALE_MS


class EngineConfig(Struct, frozen=True, kw_only=True):
    """What the engine subscribes, and where it continues.

    Attributes:
        run_id: The run of the events.
        ws_url: WebSocket address.
        rest_urls: REST addresses, tried in turn.
        symbols: Symbols to subscribe; empty: the movers of the day.
        top_n: Number of movers.
        lookback_minutes: Length of the history that is published first; 0 for none.
        past: Market data of this run in the journal, oldest first.
        last_clock_ms: The last published clock of this run; 0 at its beginning.
        clock_offsets: Symbols, or None for all, whose ``CLOCK_OFFSET`` is open on the record.
        behind_ms: The stale timeout; older ticks are backfill.
        uncertain_symbols: Symbols whose ``DATA_GAP`` is open on the record.
        cache: Folder of contract details for a start without REST; None: no cache.
    """

    run_id: str
    ws_url: str
    rest_urls: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    top_n: int = 10
    lookback_minutes: int = 15
    past: Sequence[MarketData] = ()
    last_clock_ms: int = 0
    uncertain_symbols: tuple[str, ...] = ()
    clock_offsets: tuple[str | None, ...] = ()
    behind_ms: int = STALE_MS
    cache: Path | None = None
