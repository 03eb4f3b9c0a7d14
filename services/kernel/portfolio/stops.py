"""Where a stop is placed: so near the price that the loss at it never exceeds what is risked."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.kernel.events import Side
from services.kernel.instruments.contracts import Instrument
from services.kernel.portfolio.account import Position


def stop_price(
    side: Side,
    price: Decimal,
    *,
    stop_pct: Decimal,
    risked: Decimal,
    ordered: Decimal,
    unfilled: Decimal,
    instrument: Instrument,
    position: Position | None,
) -> Decimal:
    """The stop of an entry that fills at a price.

    Its distance is the smaller of ``stop_pct`` x price and ``risked`` over the ordered quantity, so
    that the whole order loses at most ``risked`` between fill and stop, before costs; in an inverse
    contract too, because its loss is converted at the price of the stop. Where the entry adds to a
    position, the nearest stop protects the whole: of the entry's, of the position's, and of the one
    at which both together lose ``risked``.

    Args:
        side: Of the entry.
        price: Of the fill, quote per base, > 0.
        stop_pct: Largest distance as a fraction of the price.
        risked: Largest loss, in quote.
        ordered: Quantity of the whole order, in the contract's unit, > 0.
        unfilled: What is not filled before this fill, in the contract's unit, > 0.
        instrument: The contract.
        position: What is open in the symbol.

    Returns:
        A price on a tick, rounded towards the fill. It is at or beyond the fill where nothing is
        left to risk.
    """
    sign = side.sign
    base = instrument.base_quantity(ordered, price)
    stop = price - min(stop_pct * price, risked / base) * sign
    if position is not None and position.side is side:
        held = abs(position.base)
        added = instrument.base_quantity(unfilled, price)
        value = held * position.entry_price + added * price
        stops = [stop, (value - risked * sign) / (held + added)]
        if position.stop_loss_price is not None:
            stops.append(position.stop_loss_price)
        stop = max(stops) if side is Side.BUY else min(stops)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ticks = (stop / instrument.tick_size).to_integral_value(rounding=rounding)
    return ticks * instrument.tick_size
