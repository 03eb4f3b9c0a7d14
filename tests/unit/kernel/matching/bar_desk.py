"""A desk on a market of bars, for tests of what ticks made from bars fill."""

from decimal import Decimal

from services.kernel.events import BarPoint, OrderResult, OrderStatus, Side
from tests import builders
from tests.builders import BTC, Number
from tests.unit.kernel.desk import Desk

OPEN, INSIDE = BarPoint.OPEN, BarPoint.INSIDE
BUY, SELL = Side.BUY, Side.SELL
FREE = {
    "SIM_HALF_SPREAD_PCT": "0",
    "SIM_IMPACT_PCT": "0",
    "MAX_SLIPPAGE_PCT": "0.05",
    "MAX_PRICE_JUMP_PCT": "0.3",
    "MAX_COST_SHARE": "1",
}


class Bars(Desk):
    """A desk on a market of bars: a point every fifteen seconds."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(FREE | (settings or {}))

    def point(self, price: Number, bar: BarPoint | None = INSIDE) -> list[OrderResult]:
        """The next point; returns what it filled or ended."""
        self.wait(15, step=15)
        led_to = self.feed(builders.trade(BTC, price, self.now, 1000, bar=bar))
        return builders.of_type(led_to, OrderResult)

    def holding(self, side: Side = BUY) -> "Bars":
        """A position of 100 from 100, its stop two away, opened within a bar."""
        self.point(100, OPEN)
        self.signal(100, side)
        (fill,) = self.point(100)
        assert fill.status is OrderStatus.FILLED
        return self

    @property
    def stop(self) -> Decimal | None:
        return self.portfolio.portfolio.state.positions[BTC].stop_loss_price


def filled(results: list[OrderResult]) -> list[tuple[Decimal, Decimal | None]]:
    return [(r.filled_quantity, r.filled_price) for r in results if r.filled_quantity]


def mirrored(price: Number, side: Side) -> Decimal:
    """As far from 100 on the other side, for a short position."""
    return Decimal(price) if side is BUY else 200 - Decimal(price)
