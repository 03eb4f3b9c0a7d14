"""What an engine is told at its beginning."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from services.kernel.events import MarketData
from services.runtime.intake.event_time import STALE_MS


class EngineConfig(Struct, frozen=True, kw_only=True):
    """What the engine listens to.

    Attributes:
        run_id: The run that the events belong to.
        ws_url: WebSocket address.
        rest_urls: REST addresses, tried in turn.
        symbols: What to subscribe; empty takes the movers.
        top_n: How many movers.
        lookback_minutes: History that is published first; 0 for none.
        past: What this run's journal still holds of earlier market data, oldest first.
        last_clock_ms: The last clock that was published in this run; 0 at its beginning.
        clock_offsets: Symbols, or None for all, whose ``CLOCK_OFFSET`` is open on the record.
        behind_ms: The stale timeout: older ticks are backfill.
        uncertain_symbols: Symbols whose ``DATA_GAP`` is open on the record.
        cache: Folder in which contract details are kept for a start without REST; None keeps none.
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
