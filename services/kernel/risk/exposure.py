"""Exposure after a trade, pending orders counted as filled, and what the limits leave."""

from decimal import Decimal

from services.kernel.events import Side
from services.kernel.portfolio import Portfolio
from services.kernel.risk.state import RiskState
from services.kernel.settings import TradingSettings
from services.kernel.sizing import Headroom

ZERO = Decimal(0)
EXPOSURE_LAYER = "4 total_exposure"
POSITION_LAYER = "5 position"


def position_with_pending(
    state: RiskState, portfolio: Portfolio, symbol: str, side: Side
) -> Decimal:
    """Signed position (base) if every pending order of this side filled.

    Exits count too: one that fills before an opposite entry leaves that entry nothing to net with.
    """
    return portfolio.quantity(symbol) + state.pending_quantity(symbol, side) * side.sign


def exposure_elsewhere(state: RiskState, portfolio: Portfolio, symbol: str) -> Decimal:
    """Gross notional (quote) of all other symbols, each at its worst pending outcome."""
    symbols = set(portfolio.state.positions)
    symbols.update(order.symbol for order in state.pending.values() if not order.reduce_only)
    symbols.discard(symbol)
    return sum((_worst_notional(state, portfolio, other) for other in sorted(symbols)), ZERO)


def headrooms(
    *,
    settings: TradingSettings,
    equity: Decimal,
    price: Decimal,
    side: Side,
    position: Decimal,
    elsewhere: Decimal,
) -> tuple[Headroom, Headroom]:
    """What layers 4 and 5 leave for an entry, in base units.

    An entry against the open position first uses that position up, then fills the limit on the
    other side.

    Args:
        settings: The two limits, as fractions of equity.
        equity: Quote.
        price: Quote per base, > 0.
        side: Of the entry.
        position: Signed, pending orders of that side included.
        elsewhere: Gross notional of all other symbols, in quote.
    """
    towards = position * side.sign
    exposure = (settings.max_total_exposure_pct * equity - elsewhere) / price - towards
    single = settings.max_position_pct * equity / price - towards
    return (
        Headroom(name=EXPOSURE_LAYER, quantity=exposure),
        Headroom(name=POSITION_LAYER, quantity=single),
    )


def _worst_notional(state: RiskState, portfolio: Portfolio, symbol: str) -> Decimal:
    held = portfolio.quantity(symbol)
    bought = position_with_pending(state, portfolio, symbol, Side.BUY)
    sold = position_with_pending(state, portfolio, symbol, Side.SELL)
    price = portfolio.mark_price(symbol) or _pending_price(state, symbol)
    return max(abs(held), abs(bought), abs(sold)) * price


def _pending_price(state: RiskState, symbol: str) -> Decimal:
    return max((o.price for o in state.pending.values() if o.symbol == symbol), default=ZERO)
