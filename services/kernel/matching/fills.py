"""Simulated fills: book walk or half-spread and impact, fees; always against the trader.

What this does not model, and in which direction it errs: ``backoffice/docs/PAPER_FIDELITY.md``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Decimal

from msgspec import Struct, field

from services.kernel.events import BarPoint, MarketData, Side
from services.kernel.instruments.contracts import Instrument
from services.kernel.instruments.rounding import MONEY_STEP, rounded
from services.kernel.market.order_book import Book, Walk
from services.kernel.matching.minute_volume import WINDOW_SEC, MinuteVolume
from services.kernel.settings.model import TradingSettings
from services.kernel.units import BPS, ONE, SECOND_MS, ZERO

IMPACT_STEP = Decimal("0.0000000001")
BPS_STEP = Decimal("0.0001")
TAKER, MAKER, LIQUIDATION = "taker", "maker", "liquidation"


def _second(trade: MarketData) -> int:
    return trade.timestamp // SECOND_MS


class SimulatedMarket(Struct, kw_only=True):
    """What execution knows of one symbol's market; volumes are in base.

    Attributes:
        price, before: Prices of the last trade and of the one before it, quote per base.
        bar: What the last trade stands for, where it was made from a bar.
        unclaimed: Volume of the last trade that no resting order of ours was filled from.
        minute: What was traded in the last minute.
    """

    price: Decimal | None = None
    before: Decimal | None = None
    bar: BarPoint | None = None
    book: Book = field(default_factory=Book)
    unclaimed: Decimal = ZERO
    minute: MinuteVolume = field(default_factory=MinuteVolume)

    def on_trade(
        self, timestamp: int, price: Decimal, volume: Decimal, bar: BarPoint | None = None
    ) -> None:
        """Take a trade (Unix milliseconds, quote per base, base); a late one is of now."""
        self.before, self.price, self.bar = self.price, price, bar
        self.unclaimed = volume
        self.minute.add(timestamp, volume)

    def skip(self, trades: Sequence[MarketData]) -> None:
        """Become what `on_trade` would have made of these trades, at least one."""
        last = trades[-1]
        self.before = self.price if len(trades) == 1 else trades[-2].price
        self.price, self.bar, self.unclaimed = last.price, last.bar, last.volume or ZERO
        oldest = last.timestamp // SECOND_MS - 2 * WINDOW_SEC
        for trade in trades[bisect_left(trades, oldest, key=_second) :]:
            self.minute.add(trade.timestamp, trade.volume or ZERO)

    def takeable(self, side: Side, now: int) -> Decimal:
        """Base volume that a fill may take where no fresh book says what there is.

        It is what the last minute traded and we have not taken; where that traded nothing, the size
        that a fresh quote names.
        """
        if self.minute.total(now) > 0:
            return self.minute.remaining(now)
        return self.book.quoted_size(side, now)

    def consume(self, fill: "Fill", side: Side, instrument: Instrument) -> None:
        """What a fill took is no longer there for the next one: of the book, or of the trade."""
        base = instrument.base_quantity(fill.quantity, fill.price)
        self.minute.consume(base)
        if fill.liquidity == MAKER:
            self.unclaimed -= base
        else:
            self.book.consume(side, base)

    def touch(
        self, side: Side, now: int, half_spread_pct: Decimal, start: Decimal | None = None
    ) -> tuple[Decimal, Decimal] | None:
        """Price that the side meets first, and half the spread; None where no price is known.

        Args:
            side: Of the order.
            now: Unix milliseconds.
            half_spread_pct: Added to the last trade where no quote is fresh.
            start: A price that stands for the last trade.
        """
        quote = self.book.fresh(now)
        if quote is not None:
            return quote[1] if side is Side.BUY else quote[0], (quote[1] - quote[0]) / 2
        middle = self.price if start is None else start
        if middle is None:
            return None
        half_spread = middle * half_spread_pct
        return middle + half_spread * side.sign, half_spread


class Fill(Struct, frozen=True, kw_only=True, gc=False):
    """One simulated fill and the arithmetic behind it.

    Attributes:
        quantity: In the contract's unit, whole lots; less than asked for where there was no more.
        liquidity: ``taker``, ``maker``, or ``liquidation`` where the venue took a position over.
    """

    quantity: Decimal
    price: Decimal
    fees: Decimal
    slippage_pct: Decimal
    liquidity: str
    arithmetic: dict[str, Decimal]

    @property
    def slippage_bps(self) -> Decimal:
        """Adverse difference from the order's price, in basis points; negative is better."""
        return rounded(self.slippage_pct * BPS, BPS_STEP)


class FillRequest(Struct, frozen=True, kw_only=True, gc=False):
    """What is to be traded.

    Attributes:
        quantity: In the contract's unit, > 0.
        order_price: The price the order was decided at, quote per base, > 0.
        limit: The worst price that is acceptable; None where any is.
        fee_rate: Fraction of notional; None is the contract's taker rate.
        start: Price that stands for the last trade where no quote is fresh, quote per base.
    """

    side: Side
    quantity: Decimal
    order_price: Decimal
    limit: Decimal | None = None
    fee_rate: Decimal | None = None
    start: Decimal | None = None


def impact_pct(quantity: Decimal, volume: Decimal, coefficient: Decimal) -> Decimal:
    """Price impact as a fraction: coefficient x sqrt(quantity / volume).

    Source: square-root law of market impact (Toth et al., 2011, "Anomalous price impact").

    Args:
        quantity: Base.
        volume: Base traded in a minute; without any the order counts as all of it.
        coefficient: Impact of an order as large as that volume.
    """
    participation = quantity / volume if volume > 0 else ONE
    return rounded(coefficient * participation.sqrt(), IMPACT_STEP)


def takeable_quantity(
    request: FillRequest, market: SimulatedMarket, now: int, instrument: Instrument
) -> Decimal:
    """How much of what is asked may be taken without a fresh book, in whole lots; 0 is nothing."""
    price = request.start or market.price or market.book.touch(request.side, now)
    if price is None:
        return ZERO
    available = instrument.quantity_of(market.takeable(request.side, now), price)
    return min(request.quantity, instrument.round_down_to_lot(available))


def market_fill(
    request: FillRequest,
    market: SimulatedMarket,
    now: int,
    instrument: Instrument,
    settings: TradingSettings,
) -> Fill | None:
    """Take liquidity at the present market.

    Where depth is fresh the levels are walked, and the fill ends where they do. Elsewhere buys pay
    the ask and sells get the bid (without a fresh quote: the last trade moved by
    ``SIM_HALF_SPREAD_PCT``) with impact on top, and the fill ends where nothing is left that
    the market's `SimulatedMarket.takeable` names. The price is rounded to ticks against the trader.
    Fee = notional x taker rate, rounded up, on each fill (MEXC fee schedule).

    Args:
        request: What is to be traded.
        market: What is known of the market.
        now: Event time of the filling tick, Unix milliseconds.
        instrument: Tick size, lot size and fees.
        settings: Half-spread and impact.

    Returns:
        None where nothing can be traded: no price, nothing in the book, or the limit is beyond it.
    """
    walk = market.book.walk(
        request.side, request.quantity, now, inverse=instrument.inverse, limit=request.limit
    )
    if walk is not None:
        return _walked(request, walk, market, now, instrument, settings)
    return _estimated(request, market, now, instrument, settings)


def _estimated(
    request: FillRequest,
    market: SimulatedMarket,
    now: int,
    instrument: Instrument,
    settings: TradingSettings,
) -> Fill | None:
    """Fill without a known book: the best price, moved by the estimated impact."""
    touched = market.touch(request.side, now, settings.sim_half_spread_pct, request.start)
    if touched is None:
        return None
    touch, half_spread = touched
    quantity = takeable_quantity(request, market, now, instrument)
    if quantity <= 0:
        return None
    volume = market.minute.total(now)
    base = instrument.base_quantity(quantity, touch)
    impact = impact_pct(base, volume, settings.sim_impact_pct)
    price = _on_tick(touch * (ONE + impact * request.side.sign), request.side, instrument)
    if request.limit is not None and (price - request.limit) * request.side.sign > 0:
        return None
    arithmetic = {
        "touch": touch,
        "half_spread": half_spread,
        "impact_pct": impact,
        "minute_volume": volume,
    }
    if request.start is not None:
        arithmetic["start"] = request.start
    return _fill(request, quantity, price, TAKER, instrument, arithmetic)


def maker_fill(
    request: FillRequest, market: SimulatedMarket, instrument: Instrument
) -> Fill | None:
    """Fill a resting limit order from the last trade, if that traded through its price.

    A trade at the price itself fills nothing: how many orders stand before ours is not known.

    Args:
        request: With its limit.
        market: The last trade, and what is left of its volume.
        instrument: Lot size and maker fee.
    """
    limit, price = request.limit, market.price
    if limit is None or price is None or (price - limit) * request.side.sign >= 0:
        return None
    traded = instrument.quantity_of(market.unclaimed, limit)
    quantity = instrument.round_down_to_lot(min(request.quantity, traded))
    if quantity <= 0:
        return None
    return _fill(request, quantity, limit, MAKER, instrument, {"traded_price": price})


def takeover_fill(request: FillRequest, bankruptcy_price: Decimal, instrument: Instrument) -> Fill:
    """The venue takes a liquidated position over where its margin is lost, and takes a fee."""
    price = _on_tick(bankruptcy_price, request.side.opposite, instrument)
    arithmetic = {"bankruptcy_price": bankruptcy_price}
    return _fill(request, request.quantity, price, LIQUIDATION, instrument, arithmetic)


def capped_fill(
    request: FillRequest, fill: Fill, worst_price: Decimal, instrument: Instrument
) -> Fill:
    """A closing fill at no worse than a price, on the next tick that is better for the position.

    Args:
        request: What was asked for; its quantity is what is closed, at most the open position.
        fill: What the market gave for it.
        worst_price: Quote per base.
        instrument: Tick size and fees.
    """
    if (fill.price - worst_price) * request.side.sign <= 0:
        return fill
    price = _on_tick(worst_price, request.side.opposite, instrument)
    worst = rounded(worst_price, IMPACT_STEP)
    arithmetic = fill.arithmetic | {"market_price": fill.price, "worst_price": worst}
    quantity = min(fill.quantity, request.quantity)
    return _fill(request, quantity, price, fill.liquidity, instrument, arithmetic)


def _walked(
    request: FillRequest,
    walk: Walk,
    market: SimulatedMarket,
    now: int,
    instrument: Instrument,
    settings: TradingSettings,
) -> Fill | None:
    quantity = request.quantity
    if walk.quantity < quantity:
        quantity = instrument.round_down_to_lot(walk.quantity)
    touched = market.touch(request.side, now, settings.sim_half_spread_pct)
    if quantity <= 0 or touched is None:
        return None
    arithmetic = {
        "touch": touched[0],
        "half_spread": touched[1],
        "book_levels": Decimal(walk.levels),
        "worst_level": walk.worst,
        "average_level": rounded(walk.price, IMPACT_STEP),
    }
    price = _on_tick(walk.price, request.side, instrument)
    return _fill(request, quantity, price, TAKER, instrument, arithmetic)


def _on_tick(price: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """The price on a tick, rounded against the trader, and never below one tick."""
    ticks = price / instrument.tick_size
    ticks = ticks.to_integral_value(ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)
    return max(ticks, ONE) * instrument.tick_size


def _fill(
    request: FillRequest,
    quantity: Decimal,
    price: Decimal,
    liquidity: str,
    instrument: Instrument,
    arithmetic: dict[str, Decimal],
) -> Fill:
    rates = {
        TAKER: instrument.taker_fee_rate,
        MAKER: instrument.maker_fee_rate,
        LIQUIDATION: instrument.liquidation_fee_rate,
    }
    rate = rates[liquidity] if request.fee_rate is None else request.fee_rate
    notional = quantity * instrument.unit_value(price)
    return Fill(
        quantity=quantity,
        price=price,
        fees=rounded(notional * rate, MONEY_STEP, ROUND_UP),
        slippage_pct=(price - request.order_price) / request.order_price * request.side.sign,
        liquidity=liquidity,
        arithmetic=arithmetic | {"fee_rate": rate},
    )
