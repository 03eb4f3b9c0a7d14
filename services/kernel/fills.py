"""Simulated fills: half-spread, impact by participation, fees; always against the trader."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Decimal

from msgspec import Struct

from services.kernel.events import Side
from services.kernel.instruments import Instrument
from services.kernel.rounding import MONEY_STEP, rounded
from services.kernel.settings import TradingSettings

ONE = Decimal(1)
ZERO = Decimal(0)
QUOTE_MAX_AGE_MS = 5_000
VOLUME_WINDOW_MS = 60_000
MAX_PARTICIPATION = Decimal(100)
IMPACT_STEP = Decimal("0.0000000001")
BPS = Decimal(10_000)
BPS_STEP = Decimal("0.0001")


class MarketState(Struct, kw_only=True):
    """What execution knows of one symbol's market; volumes are in base.

    The volume of the last minute is kept in two slots of 60 seconds: the running one, and the one
    before it, counted by the share that still lies within a minute.
    """

    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    quote_time: int = 0
    slot: int = 0
    slot_volume: Decimal = ZERO
    previous_volume: Decimal = ZERO

    def on_trade(self, timestamp: int, price: Decimal, volume: Decimal) -> None:
        """Take a trade (Unix milliseconds, quote per base, base); a late one is of now."""
        self.price = price
        slot = timestamp // VOLUME_WINDOW_MS
        if slot > self.slot:
            self.previous_volume = self.slot_volume if slot == self.slot + 1 else ZERO
            self.slot, self.slot_volume = slot, ZERO
        self.slot_volume += volume

    def on_quote(self, timestamp: int, bid: Decimal | None, ask: Decimal | None) -> None:
        """Take the best bid and ask (quote per base); a side without a price is unknown."""
        self.bid = bid if bid is not None and bid > 0 else None
        self.ask = ask if ask is not None and ask > 0 else None
        self.quote_time = timestamp

    def volume_of_last_minute(self, now: int) -> Decimal:
        """Base volume of the 60 seconds before ``now`` (Unix milliseconds)."""
        slots_ago = now // VOLUME_WINDOW_MS - self.slot
        rest = VOLUME_WINDOW_MS - now % VOLUME_WINDOW_MS
        if slots_ago <= 0:
            return self.slot_volume + self.previous_volume * rest / VOLUME_WINDOW_MS
        return self.slot_volume * rest / VOLUME_WINDOW_MS if slots_ago == 1 else ZERO

    def fresh_quote(self, now: int) -> tuple[Decimal, Decimal] | None:
        """Best bid and ask if both are known and at most five seconds old."""
        if self.bid is None or self.ask is None or now - self.quote_time > QUOTE_MAX_AGE_MS:
            return None
        return self.bid, self.ask


class Fill(Struct, frozen=True, kw_only=True, gc=False):
    """One simulated fill and the arithmetic behind it."""

    price: Decimal
    fees: Decimal
    slippage_pct: Decimal
    arithmetic: dict[str, Decimal]

    @property
    def slippage_bps(self) -> Decimal:
        """Adverse difference from the order's price, in basis points; negative is better."""
        return rounded(self.slippage_pct * BPS, BPS_STEP)


def impact_pct(quantity: Decimal, volume: Decimal, coefficient: Decimal) -> Decimal:
    """Price impact as a fraction: coefficient x sqrt(quantity / volume).

    Source: square-root law of market impact (Toth et al., 2011, "Anomalous price impact").

    Args:
        quantity: Base.
        volume: Base traded in the last minute; without any the order counts as all of it, and
            no order counts as more than a hundred times of it: the law says nothing of those.
        coefficient: Impact of an order as large as that volume.
    """
    participation = min(quantity / volume, MAX_PARTICIPATION) if volume > 0 else ONE
    return rounded(coefficient * participation.sqrt(), IMPACT_STEP)


def _touch(
    side: Side, market: MarketState, now: int, half_spread_pct: Decimal
) -> tuple[Decimal, Decimal] | None:
    """Price that the side meets first, and half the spread; None where no price is known."""
    quote = market.fresh_quote(now)
    if quote is not None:
        return quote[1] if side is Side.BUY else quote[0], (quote[1] - quote[0]) / 2
    if market.price is None:
        return None
    half_spread = market.price * half_spread_pct
    return market.price + half_spread * side.sign, half_spread


def market_fill(
    side: Side,
    quantity: Decimal,
    order_price: Decimal,
    market: MarketState,
    now: int,
    instrument: Instrument,
    settings: TradingSettings,
) -> Fill:
    """Fill a market order at the present market.

    Buys pay the ask, sells get the bid; without a fresh quote the last trade is moved by
    ``SIM_HALF_SPREAD_PCT``. Impact comes on top, and the price is rounded to ticks against the
    trader. Fee = price x quantity x taker rate, rounded up, on each fill (MEXC fee schedule).

    Args:
        side: Of the order.
        quantity: Base, > 0.
        order_price: The price the order was decided at, quote per base, > 0.
        market: Has a last trade or a fresh quote.
        now: Event time of the filling tick, Unix milliseconds.
        instrument: Tick size and fees.
        settings: Half-spread and impact.

    Raises:
        ValueError: The market has no price at all.
    """
    touched = _touch(side, market, now, settings.sim_half_spread_pct)
    if touched is None:
        raise ValueError(f"no price for {instrument.symbol} at {now}; wait for its first tick")
    touch, half_spread = touched
    volume = market.volume_of_last_minute(now)
    impact = impact_pct(quantity, volume, settings.sim_impact_pct)
    ticks = touch * (ONE + impact * side.sign) / instrument.tick_size
    ticks = ticks.to_integral_value(ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)
    price = max(ticks, ONE) * instrument.tick_size
    slippage = (price - order_price) / order_price * side.sign
    return Fill(
        price=price,
        fees=rounded(price * quantity * instrument.taker_fee_rate, MONEY_STEP, ROUND_UP),
        slippage_pct=slippage,
        arithmetic={
            "touch": touch,
            "half_spread": half_spread,
            "impact_pct": impact,
            "minute_volume": volume,
            "fee_rate": instrument.taker_fee_rate,
        },
    )
