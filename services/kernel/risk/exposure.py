"""Exposure after a trade, pending orders counted as filled, and what the limits leave."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import Side
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.risk.sizing import Headroom
from services.kernel.risk.state.correlation import correlation
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.settings.model import TradingSettings
from services.kernel.units import ZERO

EXPOSURE_LAYER = "4 total_exposure"
CORRELATED_LAYER = "4 correlated_exposure"
POSITION_LAYER = "5 position"
VOLUME_LAYER = "5 volume_share"


class OtherExposure(Struct, frozen=True, kw_only=True, gc=False):
    """What the account holds or awaits in other symbols than the candidate's, in quote.

    Attributes:
        gross: Notional of all of them, each at its worst pending outcome.
        correlated: The part of it that would win and lose together with the candidate.
        alike: The symbols of that part, each with its correlation.
    """

    gross: Decimal
    correlated: Decimal
    alike: dict[str, Decimal]


def position_with_pending(
    state: RiskState, portfolio: Portfolio, symbol: str, side: Side
) -> Decimal:
    """Signed position if every pending order of this side filled.

    Exits count too: one that fills before an opposite entry leaves that entry nothing to net with.
    """
    return portfolio.quantity(symbol) + state.pending_quantity(symbol, side) * side.sign


def other_exposure(
    state: RiskState, portfolio: Portfolio, symbol: str, side: Side, threshold: Decimal
) -> OtherExposure:
    """What all other symbols hold and await.

    Args:
        state: Pending orders and minute closes.
        portfolio: Positions and prices.
        symbol: The candidate's.
        side: The candidate's.
        threshold: Correlation from which on two symbols count as one.
    """
    waiting = _waiting(state)
    symbols = set(portfolio.state.positions)
    symbols.update(order.symbol for order in state.pending.values() if not order.reduce_only)
    symbols.discard(symbol)
    gross = correlated = ZERO
    alike: dict[str, Decimal] = {}
    own = state.symbol_health(symbol).closes
    for other in sorted(symbols):
        held, (buys, sells) = portfolio.quantity(other), waiting.get(other, (ZERO, ZERO))
        bought, sold = held + buys, held - sells
        unit = _unit_value(state, portfolio, other)
        gross += max(abs(held), abs(bought), abs(sold)) * unit
        likeness = correlation(own, state.symbol_health(other).closes)
        if likeness is None or abs(likeness) < threshold:
            continue
        same_bet = side if likeness > 0 else side.opposite
        together = bought if same_bet is Side.BUY else -sold
        if together > 0:
            correlated += together * unit
            alike[other] = likeness
    return OtherExposure(gross=gross, correlated=correlated, alike=alike)


def headrooms(
    *,
    settings: TradingSettings,
    equity: Decimal,
    unit_value: Decimal,
    side: Side,
    position: Decimal,
    others: OtherExposure,
    traded: Decimal,
) -> tuple[Headroom, ...]:
    """What layers 4 and 5 leave for an entry, in the contract's unit.

    An entry against the open position first uses that position up, then fills the limit on the
    other side. The limit on what moves alike counts only where something does.

    Args:
        settings: The limits, as fractions of equity.
        equity: Quote.
        unit_value: What one unit of quantity is worth, in quote, > 0.
        side: Of the entry.
        position: Signed, pending orders of that side included.
        others: What all other symbols hold.
        traded: What the look-back window traded, in the contract's unit.
    """
    towards = position * side.sign
    total = settings.max_total_exposure_pct * equity - others.gross
    together = settings.max_correlated_exposure_pct * equity - others.correlated
    single = settings.max_position_pct * equity
    rooms = [
        Headroom(name=EXPOSURE_LAYER, quantity=total / unit_value - towards),
        Headroom(name=POSITION_LAYER, quantity=single / unit_value - towards),
        Headroom(name=VOLUME_LAYER, quantity=settings.max_volume_share * traded - towards),
    ]
    if others.correlated > 0:
        rooms.insert(1, Headroom(name=CORRELATED_LAYER, quantity=together / unit_value - towards))
    return tuple(rooms)


def _waiting(state: RiskState) -> dict[str, tuple[Decimal, Decimal]]:
    """What waits for its fill, bought and sold, by symbol."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for order in state.pending.values():
        buys, sells = found.get(order.symbol, (ZERO, ZERO))
        if order.side is Side.BUY:
            buys += order.quantity
        else:
            sells += order.quantity
        found[order.symbol] = (buys, sells)
    return found


def _unit_value(state: RiskState, portfolio: Portfolio, symbol: str) -> Decimal:
    """What one unit of a symbol is worth now, in quote."""
    price = portfolio.mark_price(symbol) or _pending_price(state, symbol)
    instrument = state.instruments.get(symbol)
    return price if instrument is None else instrument.unit_value(price)


def _pending_price(state: RiskState, symbol: str) -> Decimal:
    return max(order.price for order in state.pending.values() if order.symbol == symbol)
