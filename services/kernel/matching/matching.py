"""Matching: what one tick does to one order, by its type and time in force."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import (
    BarPoint,
    MarketData,
    MarketDataKind,
    Order,
    OrderStatus,
    OrderType,
    Origin,
    Side,
    TimeInForce,
)
from services.kernel.instruments.contracts import Instrument
from services.kernel.matching.bar_prices import triggered_at, worse
from services.kernel.matching.fills import (
    Fill,
    FillRequest,
    SimulatedMarket,
    maker_fill,
    market_fill,
    takeable_quantity,
)
from services.kernel.portfolio.account import Position
from services.kernel.reasons import Reason
from services.kernel.settings.model import TradingSettings

WITH_TRIGGER = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
FORCED_AT_A_LEVEL = frozenset({Origin.STOP_LOSS, Origin.TAKE_PROFIT})
"""Risk's own exits at a price of the position: their order has the price that triggered them."""


class WorkingOrder(Struct, kw_only=True):
    """An accepted order that has no final result yet.

    Attributes:
        leaves_quantity: What is not filled yet, in the contract's unit.
        active_at: Event time from which the latency runs: the order's, later its trigger's.
        untriggered: It waits for its trigger price.
        resting: It is in the book, as a limit order: it fills as maker from now on.
        met: A tick came that could have filled it.
        decided_at: Price that it was decided at; a fill on a bar's tick never starts at a better
            one.
        starts_there: The first fill on a bar's tick starts at ``decided_at`` itself.
    """

    order: Order
    leaves_quantity: Decimal
    active_at: int
    untriggered: bool
    decided_at: Decimal
    resting: bool = False
    met: bool = False
    starts_there: bool = False

    @classmethod
    def of(cls, order: Order, market: SimulatedMarket, position: Position | None) -> "WorkingOrder":
        """An order that was accepted just now.

        Args:
            order: As it was published.
            market: Its symbol's.
            position: What is open in its symbol.
        """
        working = cls(
            order=order,
            leaves_quantity=order.quantity,
            active_at=order.timestamp,
            untriggered=order.order_type in WITH_TRIGGER,
            decided_at=order.price,
        )
        if order.order_type is OrderType.LIMIT:
            working.decided_at = market.price or order.price
        if position is None:
            return working
        if order.origin is Origin.STOP_LOSS and position.stop_loss_price is not None:
            working.trigger(position.stop_loss_price, market)
        if order.origin is Origin.TAKE_PROFIT and position.take_profit_price is not None:
            working.decided_at = position.take_profit_price
        return working

    def trigger(self, level: Decimal, market: SimulatedMarket) -> None:
        """The market reached the price that the order waited for."""
        self.untriggered = False
        self.decided_at, self.starts_there = triggered_at(level, self.order.side, market)

    def request(
        self, quantity: Decimal, market: SimulatedMarket, bar: BarPoint | None
    ) -> FillRequest:
        """What it asks of a tick.

        Args:
            quantity: What may be filled, in the contract's unit, > 0.
            market: The market, the tick included.
            bar: What the tick stands for, where it was made from a bar.
        """
        order, decided_at = self.order, self.order.price
        start = None
        if bar is not None and market.price is not None:
            start = self.decided_at
            if not self.starts_there:
                start = worse(order.side, start, market.price)
            if order.origin in FORCED_AT_A_LEVEL:
                decided_at = self.decided_at
        return FillRequest(
            side=order.side,
            quantity=quantity,
            order_price=decided_at,
            limit=order.price if order.order_type in WITH_LIMIT else None,
            start=start,
        )

    def is_triggered(self, price: Decimal | None) -> bool:
        """Whether this price (mark while fresh, else last; quote per base) reaches the trigger."""
        trigger = self.order.trigger_price
        if price is None or trigger is None:
            return False
        return price >= trigger if self.order.side is Side.BUY else price <= trigger


class Match(Struct, frozen=True, kw_only=True, gc=False):
    """What a tick does to an order.

    Attributes:
        fill: What it fills, if anything.
        resting: The order stands in the book from here on.
        final_status: Final status of what is left after the fill; None where it goes on.
        reason: Of that end.
    """

    fill: Fill | None = None
    resting: bool = False
    final_status: OrderStatus | None = None
    reason: Reason | None = None


def match(
    working: WorkingOrder,
    quantity: Decimal,
    market: SimulatedMarket,
    tick: MarketData,
    instrument: Instrument,
    settings: TradingSettings,
) -> Match:
    """Meet an order whose latency is over, and whose trigger was reached, with a tick.

    Market orders take what the book holds, or without one what was traded; the rest waits. Limit
    orders first take what is not beyond their price, then rest, and fill only from trades that went
    through it. IOC cancels what is not filled at
    the first meeting, FOK everything if not all of it is; post-only is refused if it would take.

    Args:
        working: The order.
        quantity: What may be filled, in the contract's unit, > 0.
        market: The market, the tick included.
        tick: A trade, quote or book of the order's symbol.
        instrument: The contract.
        settings: Half-spread and impact.
    """
    order = working.order
    request = working.request(quantity, market, tick.bar)
    if not working.resting:
        return _first_meeting(order, request, market, tick.timestamp, instrument, settings)
    is_trade = tick.kind is MarketDataKind.TRADE
    return Match(fill=maker_fill(request, market, instrument) if is_trade else None)


def _first_meeting(
    order: Order,
    request: FillRequest,
    market: SimulatedMarket,
    now: int,
    instrument: Instrument,
    settings: TradingSettings,
) -> Match:
    if order.post_only:
        touched = market.touch(order.side, now, settings.sim_half_spread_pct)
        if touched is not None and (touched[0] - order.price) * order.side.sign <= 0:
            return Match(final_status=OrderStatus.REJECTED, reason=Reason.POST_ONLY_WOULD_CROSS)
        return Match(resting=True)
    if order.time_in_force is TimeInForce.FOK and not _holds(request, market, now, instrument):
        return Match(final_status=OrderStatus.CANCELLED, reason=Reason.NOT_FILLED_AT_ONCE)
    fill = market_fill(request, market, now, instrument, settings)
    if fill is not None and fill.quantity == request.quantity:
        return Match(fill=fill)
    if order.time_in_force is not TimeInForce.GTC:
        return Match(
            fill=fill, final_status=OrderStatus.CANCELLED, reason=Reason.NOT_FILLED_AT_ONCE
        )
    resting = request.limit is not None
    if resting and not market.book.has_depth(now):  # it is at its limit, or waits for more volume
        resting = fill is None and takeable_quantity(request, market, now, instrument) > 0
    return Match(fill=fill, resting=resting)


def _holds(request: FillRequest, market: SimulatedMarket, now: int, instrument: Instrument) -> bool:
    """Whether the market has all that is asked for: the book, or without one what was traded."""
    walk = market.book.walk(
        request.side, request.quantity, now, inverse=instrument.inverse, limit=request.limit
    )
    if walk is None:
        return takeable_quantity(request, market, now, instrument) == request.quantity
    return walk.quantity == request.quantity
