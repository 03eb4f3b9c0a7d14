"""The order book as far as it is known: best bid and ask, and what the levels behind them hold.

Prices are quote per base; the sizes of levels are base in every contract.
"""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import MarketData, MarketDataKind, PriceLevel, Side
from services.kernel.units import ZERO

MAX_AGE_MS = 5_000
"""Age up to which a quote or a book is fresh."""
MAX_LEVELS = 20


def best_prices(tick: MarketData) -> tuple[Decimal | None, Decimal | None]:
    """Best bid and ask of a quote or a book; None for a side without a positive price."""
    bid, ask = tick.bid, tick.ask
    if tick.kind is MarketDataKind.DEPTH:
        bid = bid or (tick.bids[0][0] if tick.bids else None)
        ask = ask or (tick.asks[0][0] if tick.asks else None)
    return (
        bid if bid is not None and bid > 0 else None,
        ask if ask is not None and ask > 0 else None,
    )


class Walk(Struct, frozen=True, kw_only=True, gc=False):
    """What a walk down one side of a book would trade.

    Attributes:
        quantity: In the contract's unit; less than asked for where the book holds no more.
        base, quote: The same in both currencies; the average price is their ratio.
        worst: Price of the last level that is needed.
        levels: How many are needed.
    """

    quantity: Decimal
    base: Decimal
    quote: Decimal
    worst: Decimal
    levels: int

    @property
    def price(self) -> Decimal:
        """Average price; only where something is traded."""
        return self.quote / self.base


class Book(Struct, kw_only=True):
    """The best prices and, where depth is known, the first levels of one symbol.

    Attributes:
        bid, ask: Best prices; None where that side has none.
        bid_size, ask_size: Base quantity at them; 0 where it is not known.
        time: When they were observed, Unix milliseconds.
        bids, asks: Levels from the best one on; empty where only quotes are known.
        depth_time: When the levels were observed.
    """

    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal = ZERO
    ask_size: Decimal = ZERO
    time: int = 0
    bids: tuple[PriceLevel, ...] = ()
    asks: tuple[PriceLevel, ...] = ()
    depth_time: int = -MAX_AGE_MS - 1

    def on_tick(self, tick: MarketData) -> None:
        """Take a quote or a book; a side without a positive price is unknown."""
        if tick.kind is MarketDataKind.DEPTH:
            if tick.bids is not None:
                self.bids = tick.bids[:MAX_LEVELS]
            if tick.asks is not None:
                self.asks = tick.asks[:MAX_LEVELS]
            self.depth_time = tick.timestamp
        self.bid, self.ask = best_prices(tick)
        self.bid_size, self.ask_size = tick.bid_size or ZERO, tick.ask_size or ZERO
        self.time = tick.timestamp

    def fresh(self, now: int) -> tuple[Decimal, Decimal] | None:
        """Best bid and ask if both are known and at most five seconds old."""
        if self.bid is None or self.ask is None or now - self.time > MAX_AGE_MS:
            return None
        return self.bid, self.ask

    def has_depth(self, now: int) -> bool:
        """Whether the levels are known and at most five seconds old."""
        return now - self.depth_time <= MAX_AGE_MS

    def quoted_size(self, side: Side, now: int) -> Decimal:
        """Base quantity at the price that `touch` names; 0 where it is not known."""
        if self.fresh(now) is None:
            return ZERO
        return self.ask_size if side is Side.BUY else self.bid_size

    def touch(self, side: Side, now: int) -> Decimal | None:
        """The price that an order of this side meets first; None where it is not known."""
        quote = self.fresh(now)
        if quote is None:
            return None
        return quote[1] if side is Side.BUY else quote[0]

    def walk(
        self,
        side: Side,
        quantity: Decimal,
        now: int,
        *,
        inverse: bool,
        limit: Decimal | None = None,
    ) -> Walk | None:
        """What a market order of this side would trade now.

        No level counts as better than the best price, which may be newer than the levels.

        Args:
            side: Of the order.
            quantity: In the contract's unit, > 0.
            now: Unix milliseconds.
            inverse: Whether that unit is quote currency.
            limit: The worst price that is acceptable.

        Returns:
            None where depth is not known, or is older than five seconds. Nothing is
            traded where the side is empty.
        """
        if not self.has_depth(now):
            return None
        worst = self.touch(side, now) or ZERO
        levels = () if not worst else self.asks if side is Side.BUY else self.bids
        left, base, quote, used = quantity, ZERO, ZERO, 0
        for price, size in levels:
            if price <= 0 or size <= 0:
                continue
            at = price if (price - worst) * side.sign > 0 else worst
            if left <= 0 or (limit is not None and (at - limit) * side.sign > 0):
                break
            worst, used = at, used + 1
            held = size * at if inverse else size
            traded = min(held, left)
            left -= traded
            base += traded / at if inverse else traded
            quote += traded if inverse else traded * at
        return Walk(quantity=quantity - left, base=base, quote=quote, worst=worst, levels=used)

    def consume(self, side: Side, base: Decimal) -> None:
        """What was traded is gone from levels and sizes, until the next book is observed."""
        levels = self.asks if side is Side.BUY else self.bids
        if side is Side.BUY:
            self.ask_size = max(self.ask_size - base, ZERO)
        else:
            self.bid_size = max(self.bid_size - base, ZERO)
        remaining: list[PriceLevel] = []
        for price, size in levels:
            taken = min(size, base) if size > 0 else ZERO
            base -= taken
            if size > taken:
                remaining.append((price, size - taken))
        if side is Side.BUY:
            self.asks = tuple(remaining)
        else:
            self.bids = tuple(remaining)
