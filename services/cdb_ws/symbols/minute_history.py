"""Minute bars of MEXC as backfilled trades: the history of a symbol, and a fill for lost spans."""

from collections.abc import Sequence
from typing import Final

from services.cdb_ws.publishing.ticks import TickMaker
from services.kernel.events import MarketData, MarketDataKind
from services.kernel.instruments.contracts import Instrument
from services.kernel.market.bar_ticks import Bar, bar_point, points
from services.kernel.units import Contracts, Price
from services.venues.mexc.exact import plain

HISTORY_SOURCE: Final = "mexc:klines_1m:synthetic"
MINUTE_MS: Final = 60_000


def history(
    run_id: str, contract: Instrument, bars: Sequence[tuple[int, Bar]], after: int, until: int
) -> list[MarketData]:
    """The closed minutes of a span as backfilled trades, in base quantity.

    Args:
        run_id: The run of the events.
        contract: The contract; its bars count volume in contracts.
        bars: Opening time and bar.
        after: Minutes that opened before this time are left out.
        until: Minutes that close after this time are still running and are left out.
    """
    maker = TickMaker(run_id, HISTORY_SOURCE, contract.symbol)
    events: list[MarketData] = []
    for opened_at, bar in bars:
        if opened_at < after or opened_at + MINUTE_MS > until or bar.volume <= 0 or bar.low <= 0:
            continue
        for index, point in enumerate(points(bar, MINUTE_MS)):
            volume = contract.volume_in_base(Contracts(point.volume), Price(point.price))
            events.append(
                maker.make(
                    event_id=maker.make_id(opened_at, index),
                    timestamp=opened_at + point.offset_ms,
                    kind=MarketDataKind.TRADE,
                    price=point.price,
                    volume=plain(volume),
                    backfill=True,
                    bar=bar_point(index),
                )
            )
    return events
