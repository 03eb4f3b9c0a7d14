"""What an entry is expected to cost until it is closed again, against the distance to its stop."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import Side
from services.kernel.instruments.contracts import Instrument
from services.kernel.market.order_book import Book
from services.kernel.matching.fills import impact_pct
from services.kernel.settings.model import TradingSettings
from services.kernel.units import ONE

TWO = Decimal(2)


class RoundTripCost(Struct, frozen=True, kw_only=True, gc=False):
    """Expected costs of an entry and its exit, each as a fraction of the notional."""

    fees: Decimal
    spread: Decimal
    impact: Decimal

    @property
    def total(self) -> Decimal:
        """All of them."""
        return self.fees + self.spread + self.impact


def round_trip_cost(
    settings: TradingSettings,
    instrument: Instrument,
    book: Book,
    *,
    side: Side,
    quantity: Decimal,
    limited: bool,
    base: Decimal,
    minute_volume: Decimal,
    now: int,
) -> RoundTripCost:
    """Costs of an entry of this size, and of a market order that closes it.

    Each market order pays the taker fee, half the spread, and its impact: what the known levels
    cost beyond the best price, else the square-root law of `impact_pct`. An entry with a limit pays
    its fee only.

    Args:
        settings: Half-spread and impact of the simulated market; the former without a fresh quote.
        instrument: Fees, and what a quantity counts.
        book: What is known of the market.
        side: Of the entry.
        quantity: In the contract's unit, > 0.
        limited: Whether the entry is filled at its limit.
        base: The quantity in base.
        minute_volume: Base volume that a minute trades.
        now: Unix milliseconds.
    """
    by_law = impact_pct(base, minute_volume, settings.sim_impact_pct)

    def impact(of: Side) -> Decimal:
        walk, touch = book.walk(of, quantity, now, inverse=instrument.inverse), book.touch(of, now)
        if walk is None or touch is None or not walk.base:
            return by_law
        return (walk.price - touch) * of.sign / touch

    quote = book.fresh(now)
    half_spread = settings.sim_half_spread_pct
    if quote is not None:
        bid, ask = quote
        half_spread = (ask - bid) / (ask + bid)
    leaving = impact(side.opposite)
    return RoundTripCost(
        fees=instrument.taker_fee_rate * TWO,
        spread=half_spread * (ONE if limited else TWO),
        impact=leaving if limited else leaving + impact(side),
    )
