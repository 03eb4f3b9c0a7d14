"""The terms of an order: its type, its prices on ticks, how long it works; and what contradicts."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from services.kernel.events import OrderType, Side, Signal, TimeInForce
from services.kernel.instruments.contracts import Instrument

LOWEST_PRICE, HIGHEST_PRICE = Decimal("1E-12"), Decimal("1E+12")
LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class OrderTerms(Struct, frozen=True, kw_only=True, gc=False):
    """What an order asks for beside side and quantity.

    Attributes:
        price: The limit, else the trigger, else what the signal saw: stop and slippage are
            reckoned from it. Quote per base.
    """

    price: Decimal
    order_type: OrderType = OrderType.MARKET
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False

    @property
    def untriggered(self) -> bool:
        """Whether it works only from its trigger on."""
        return self.trigger_price is not None

    @property
    def takes_at_once(self) -> bool:
        """Whether it meets the present market: a market order without a trigger."""
        return self.order_type is OrderType.MARKET


def is_tradable_price(price: Decimal) -> bool:
    """Whether a price (quote per base) can be reckoned with at all."""
    return price.is_finite() and LOWEST_PRICE <= price <= HIGHEST_PRICE


def terms_of(signal: Signal, instrument: Instrument) -> OrderTerms:
    """The terms that a sound signal asks for, its limit on a tick, never worse than asked."""
    limit, trigger = signal.limit_price, signal.trigger_price
    if limit is not None:
        ticks = limit / instrument.tick_size
        rounding = ROUND_FLOOR if signal.direction is Side.BUY else ROUND_CEILING
        limit = ticks.to_integral_value(rounding) * instrument.tick_size
    return OrderTerms(
        price=limit or trigger or signal.price,
        order_type=signal.order_type,
        trigger_price=trigger,
        time_in_force=signal.time_in_force,
        post_only=signal.post_only,
    )


def validate(signal: Signal) -> str | None:
    """What is wrong with a signal's prices and terms, and what is needed; None when nothing is."""
    if not is_tradable_price(signal.price):
        return _untradable("price", signal.price)
    kind = signal.order_type
    for name, price, needed in (
        ("limit_price", signal.limit_price, kind in LIMITED),
        ("trigger_price", signal.trigger_price, kind in TRIGGERED),
    ):
        if price is None:
            if needed:
                return f"a {kind} order needs a {name}"
        elif not needed:
            return f"{name} {price} means nothing to a {kind} order; leave it out"
        elif not is_tradable_price(price):
            return _untradable(name, price)
    if signal.post_only and (kind not in LIMITED or signal.time_in_force is not TimeInForce.GTC):
        return f"a {kind} {signal.time_in_force} order cannot be post-only; a GTC limit order can"
    return None


def _untradable(name: str, price: Decimal) -> str:
    return f"{name} {price} cannot be traded; one from {LOWEST_PRICE} to {HIGHEST_PRICE} is needed"
