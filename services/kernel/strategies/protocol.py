"""What a strategy is: it sees ticks, and says what it wants; it knows no positions."""

from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from services.kernel.events import MarketData, Side


class Intent(Struct, frozen=True, kw_only=True, gc=False):
    """What a strategy wants now.

    Attributes:
        strength: 0 to 1, how far beyond its threshold the indicator is.
        price: The price that it saw, quote per base.
        indicators: The figures behind the reason, by name.
        reduce_only: True for an exit.
        quantity: Most that the strategy asks for, in base; None leaves the size to risk.
    """

    direction: Side
    strength: Decimal
    price: Decimal
    reason: str
    indicators: dict[str, Decimal]
    reduce_only: bool
    quantity: Decimal | None = None


class Strategy(Protocol):
    """One strategy, deciding for every symbol on its own."""

    strategy_id: str

    def on_tick(self, tick: MarketData) -> Intent | None:
        """Take one tick. A backfilled one feeds the indicators and never makes an intent."""
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
