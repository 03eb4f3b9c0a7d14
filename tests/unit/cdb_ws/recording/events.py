"""Events of a recorded market, as the tests of recordings want them."""

from decimal import Decimal

from msgspec.structs import replace

from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.ticks import TickMaker
from services.kernel.events import (
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    Side,
    codec,
)
from services.kernel.instruments.contracts import generic_instrument

RUN = "run"
NOON = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000
MIDNIGHT = NOON + 43_200_000
BTC, ETH = "BTC_USDT", "ETH_USDT"


def details(timestamp: int = NOON, run_id: str = RUN, *symbols: str) -> Instruments:
    contracts = [generic_instrument(name, Decimal("0.1")) for name in symbols or (BTC, ETH)]
    return ticks.instruments(run_id, timestamp, tuple(contracts), timestamp)


def clock(timestamp: int, run_id: str = RUN) -> Clock:
    return ticks.clock(run_id, timestamp)


def trade(
    timestamp: int, price: str = "100.10", symbol: str = BTC, run_id: str = RUN, **fields: object
) -> MarketData:
    maker = TickMaker(run_id, "mexc", symbol)
    values: dict[str, object] = {
        "kind": MarketDataKind.TRADE,
        "price": Decimal(price),
        "volume": Decimal("0.0500"),
        "side": Side.SELL,
        "trade_id": "17",
    }
    made: MarketData = maker.make(event_id="id", timestamp=timestamp, **(values | fields))
    return made


def depth(timestamp: int, symbol: str = BTC) -> MarketData:
    maker = TickMaker(RUN, "mexc", symbol)
    made: MarketData = maker.make(
        event_id="id",
        timestamp=timestamp,
        kind=MarketDataKind.DEPTH,
        bid=Decimal(1),
        ask=Decimal("1.10"),
        bids=((Decimal(1), Decimal("2.50")), (Decimal("0.9"), Decimal("1E+3"))),
        asks=(),
    )
    return made


def said(events: list[Event]) -> list[bytes]:
    """What events say, without whose they are."""
    return [codec.encode(replace(event, run_id="", event_id="")) for event in events]
