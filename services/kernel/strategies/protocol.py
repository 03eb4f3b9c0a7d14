"""What a strategy is: it sees ticks, and says what it wants; it knows no positions."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol, runtime_checkable

from msgspec import Struct

from services.kernel.events import MarketData, OrderType, Side, TimeInForce
from services.kernel.market.bars import Bar


class Intent(Struct, frozen=True, kw_only=True, gc=False):
    """What a strategy wants now.

    Attributes:
        strength: 0 to 1, how far beyond its threshold the indicator is.
        price: The price that it saw, quote per base.
        indicators: The figures behind the reason, by name.
        reduce_only: True for an exit.
        quantity: Most that the strategy asks for, in the contract's unit; None leaves the size to
            risk.
        order_type: A limit order needs ``limit_price``, a stop order ``trigger_price``.
        limit_price: The worst price that is acceptable.
        trigger_price: The order works from when the price reaches it.
        time_in_force: What becomes of what is not filled at once.
        post_only: Rather no fill than one that takes liquidity.
    """

    direction: Side
    strength: Decimal
    price: Decimal
    reason: str
    indicators: dict[str, Decimal]
    reduce_only: bool
    quantity: Decimal | None = None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False


@runtime_checkable
class Quiet(Protocol):
    """What a strategy adds that lets a backtest skip ticks: one whose `on_bar` does nothing."""

    def take_quietly(self, tick: MarketData) -> bool:
        """Take an ordinary trade as `on_tick` would, unless `on_tick` might return an intent.

        An ordinary trade is live and confirmed at once, not older than the one before it, and not
        the first of its symbol.

        Returns:
            Whether it was taken; if not, nothing has changed.
        """
        ...


class Strategy(Protocol):
    """One strategy, deciding for every symbol on its own."""

    strategy_id: str

    def seed(self, sides: Mapping[str, Side], rests: Mapping[str, int]) -> None:
        """Go on from its own signals of the run before; called once, at the run's first clock.

        Args:
            sides: What it entered and has not left, by symbol: its exits are still to come.
            rests: Until when it makes no entry, by symbol, Unix milliseconds.
        """
        ...

    def on_tick(self, tick: MarketData) -> Intent | None:
        """Take one tick. A backfilled one feeds the indicators and never makes an intent.

        Trades come once they are confirmed (`services.kernel.market.prices`), in order; a print
        that had to wait comes with its own time, before the trade that confirmed it. One that was
        voided has no price: its volume counts, and nothing else.
        """
        ...

    def on_bar(self, bar: Bar) -> Intent | None:
        """Take a finalised bar of ``INTERVAL``, before the tick that proved it to be over.

        A bar comes again, with a higher ``revision``, when late trades changed it. One that is
        revised, holds backfilled trades or waited for the end of a gap feeds the indicators, and
        its intent is dropped.
        """
        ...

    def snapshot(self) -> bytes:
        """Its whole state, as JSON; equal states give equal bytes."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        ...

    def status(self) -> dict[str, object]:
        """A few figures for people."""
        ...
