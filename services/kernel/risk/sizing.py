"""Sizing: what to ask for, and the one exit that trims it to every headroom and to whole lots.

Whatever the method, the loss at the stop is never asked to be above ``RISK_PER_TRADE_PCT``.
"""

from collections.abc import Sequence
from decimal import ROUND_UP, Decimal

from msgspec import Struct

from services.kernel.instruments.contracts import Instrument
from services.kernel.instruments.rounding import rounded
from services.kernel.market.volatility import Volatility
from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import SizingMethod
from services.kernel.units import ONE, ZERO

NEAREST_STOP_PCT = Decimal("0.005")
"""The lowest stop distance that ``STOP_LOSS_PCT`` may have; no stop is placed nearer."""
SMALLEST_RISK_PCT = Decimal("0.0005")
"""The lowest ``RISK_PER_TRADE_PCT``; risked while the Kelly stake is below it."""
STEP = Decimal("0.00000001")


class RequestedSize(Struct, frozen=True, kw_only=True, gc=False):
    """What a sizing method asks for.

    Attributes:
        quantity: In the contract's unit, not yet rounded to lots.
        stop_pct: Distance of the stop, as a fraction of the price.
        figures: Everything it was reckoned from, by name.
    """

    quantity: Decimal
    stop_pct: Decimal
    figures: dict[str, Decimal]


class Headroom(Struct, frozen=True, kw_only=True, gc=False):
    """How much a limit still leaves, in contract units; negative when it is exceeded already."""

    name: str
    quantity: Decimal


class SizedEntry(Struct, frozen=True, kw_only=True, gc=False):
    """The candidate of an entry; quantities are in the contract's unit.

    Attributes:
        requested: What was asked for, rounded down to lots.
        quantity: What every headroom allows, in whole lots; 0 when nothing is tradable.
        binding_limit: The headroom that made ``quantity`` smaller than ``requested``.
        smallest: The smallest tradable quantity.
    """

    requested: Decimal
    quantity: Decimal
    binding_limit: str | None
    smallest: Decimal

    @property
    def tradable(self) -> bool:
        """Whether anything is left to trade."""
        return self.quantity > 0


def fixed_fraction(
    equity: Decimal, risk_pct: Decimal, unit_value: Decimal, stop_pct: Decimal
) -> Decimal:
    """Quantity whose loss at the stop is ``risk_pct`` of equity.

    Source: fixed fractional position sizing, notional = equity x risk / stop distance. The loss of
    an inverse contract at the stop is notional x stop distance as well, once in quote.

    Args:
        equity: Quote, > 0.
        risk_pct: Fraction of equity.
        unit_value: What one unit of quantity is worth, in quote, > 0.
        stop_pct: Distance of the stop as a fraction of the price, > 0.
    """
    return equity * risk_pct / (unit_value * stop_pct)


def volatility_target(
    equity: Decimal, target_pct: Decimal, volatility: Decimal, unit_value: Decimal
) -> Decimal:
    """Quantity whose profit varies by ``target_pct`` of equity a year.

    Source: volatility targeting, notional = equity x target / volatility (Moreira and Muir,
    "Volatility-Managed Portfolios", 2017).

    Args:
        equity: Quote, > 0.
        target_pct: Standard deviation a year, as a fraction of equity.
        volatility: Standard deviation of the symbol's return a year, > 0.
        unit_value: What one unit of quantity is worth, in quote, > 0.
    """
    return equity * target_pct / (volatility * unit_value)


def atr_stop(
    average_range: Decimal, multiple: Decimal, price: Decimal, widest_pct: Decimal
) -> Decimal:
    """Distance of a stop that is ``multiple`` average true ranges away, as a fraction of price.

    Args:
        average_range: Quote per base.
        multiple: Of it.
        price: Quote per base, > 0.
        widest_pct: The farthest allowed.

    Returns:
        Never nearer than `NEAREST_STOP_PCT`, never farther than ``widest_pct``.
    """
    distance = rounded(average_range * multiple / price, STEP)
    return min(max(distance, NEAREST_STOP_PCT), widest_pct)


def kelly_fraction(results: Sequence[Decimal]) -> Decimal:
    """The fraction of equity to risk per trade that makes capital grow fastest; may be negative.

    Source: Kelly, "A New Interpretation of Information Rate" (1956): W - (1 - W) / R with W the
    share of winners and R the average win over the average loss.

    Args:
        results: Net results of closed positions, in quote.
    """
    won = [result for result in results if result > 0]
    lost = [-result for result in results if result < 0]
    if not won or not lost:
        return ONE if won else -ONE
    winners = Decimal(len(won)) / (len(won) + len(lost))
    payoff = (sum(won, ZERO) / len(won)) / (sum(lost, ZERO) / len(lost))
    return rounded(winners - (ONE - winners) / payoff, STEP)


def requested_size(
    settings: TradingSettings,
    *,
    equity: Decimal,
    price: Decimal,
    unit_value: Decimal,
    volatility: Volatility | None,
    results: Sequence[Decimal],
) -> RequestedSize:
    """What ``SIZING_METHOD`` asks for.

    While its measure is not known yet, a method asks as ``fixed_fraction`` does.

    Args:
        settings: The method and its figures.
        equity: Quote, >= 0.
        price: Quote per base, > 0.
        unit_value: What one unit of quantity is worth, in quote, > 0.
        volatility: Of the symbol; None where it is not measured.
        results: Net results of the positions closed last, in quote.
    """
    risk, stop = settings.risk_per_trade_pct, settings.stop_loss_pct
    method, figures = settings.sizing_method, {}
    known = volatility if volatility is not None and volatility.is_known else None
    if method is SizingMethod.ATR and known is not None:
        stop = atr_stop(known.average_range, settings.atr_multiple, price, stop)
        figures = {"average_range": known.average_range}
    elif method is SizingMethod.KELLY and len(results) >= settings.kelly_min_trades:
        kelly = kelly_fraction(results)
        risk = min(max(kelly * settings.kelly_fraction, SMALLEST_RISK_PCT), risk)
        figures = {"kelly": kelly}
    quantity = fixed_fraction(equity, risk, unit_value, stop)
    if method is SizingMethod.VOLATILITY_TARGET and known is not None and known.variance > 0:
        target = settings.volatility_target_pct
        figures = {"volatility": known.per_year, "volatility_target_pct": target}
        wanted = volatility_target(equity, target, known.per_year, unit_value)
        quantity = min(quantity, wanted)
    figures |= {"equity": equity, "risk_pct": risk, "stop_pct": stop, "price": price}
    return RequestedSize(quantity=quantity, stop_pct=stop, figures=figures)


def smallest_tradable(
    instrument: Instrument, unit_value: Decimal, min_notional: Decimal
) -> Decimal:
    """Smallest quantity of whole lots whose notional reaches ``min_notional`` (quote)."""
    lots = (min_notional / unit_value / instrument.lot_size).to_integral_value(rounding=ROUND_UP)
    return max(lots, Decimal(1)) * instrument.lot_size


def size_entry(
    asked: Decimal,
    headrooms: Sequence[Headroom],
    instrument: Instrument,
    unit_value: Decimal,
    min_notional: Decimal,
) -> SizedEntry:
    """Trim what is asked for to the smallest headroom, in whole lots: the one exit of sizing.

    Args:
        asked: In the contract's unit, > 0.
        headrooms: What each limit leaves.
        instrument: Gives the lot size.
        unit_value: What one unit of quantity is worth, in quote, > 0; as in the headrooms.
        min_notional: Quote.

    Returns:
        The candidate; within every headroom, whole lots, and 0 rather than below the minimum.
    """
    smallest = smallest_tradable(instrument, unit_value, min_notional)
    requested = instrument.round_down_to_lot(asked)
    quantity, binding = requested, None
    for headroom in headrooms:
        allowed = instrument.round_down_to_lot(max(headroom.quantity, ZERO))
        if allowed < quantity:
            quantity, binding = allowed, headroom.name
    if quantity < smallest:
        quantity = ZERO
    assert quantity == instrument.round_down_to_lot(quantity)
    assert quantity == 0 or all(quantity <= headroom.quantity for headroom in headrooms)
    return SizedEntry(
        requested=requested, quantity=quantity, binding_limit=binding, smallest=smallest
    )
