"""What the portfolio fold remembers, and what it reports: positions, markets, trades, payments."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import MarketData, Side

MS_PER_HOUR = 3_600_000
ZERO = Decimal(0)


class Position(Struct, kw_only=True):
    """One open position.

    ``cost`` is what the open quantity was bought (or sold) for; the average entry price is derived
    from it, so that nothing is lost to rounding when a position is closed in parts.
    """

    quantity: Decimal
    cost: Decimal
    mark_price: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal
    opened_at: int

    @property
    def entry_price(self) -> Decimal:
        """Average entry price, quote per base."""
        return self.cost / abs(self.quantity)

    @property
    def side(self) -> Side:
        """BUY for a long position, SELL for a short one."""
        return Side.BUY if self.quantity > 0 else Side.SELL

    @property
    def unrealised_profit(self) -> Decimal:
        """Profit at the mark price, in quote."""
        quantity = self.quantity
        # The quantity of a short is negative: what it would cost to buy it back.
        return quantity * self.mark_price + (-self.cost if quantity > 0 else self.cost)

    @property
    def notional(self) -> Decimal:
        """Value at the mark price, in quote, never negative."""
        return abs(self.quantity) * self.mark_price


class Market(Struct, kw_only=True):
    """What the fold knows of one symbol's prices and funding.

    Attributes:
        funding_rate, funding_time: Of the next settlement.
        announced_rate, announced_time: Of the one after it, told while the next one was due and
            waited for its clock; without them that settlement would be booked at the wrong rate,
            or never.
        settled_at: Time of the last settlement; nothing at or before it is settled again.
    """

    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    mark_time: int = 0
    funding_rate: Decimal | None = None
    funding_time: int | None = None
    announced_rate: Decimal | None = None
    announced_time: int | None = None
    settled_at: int = 0
    funding_interval_hours: int = 8

    def announce(self, event: MarketData) -> None:
        """Take a funding event: the next settlement's rate, and when that is."""
        rate, time, due = event.funding_rate, event.next_funding_time, self.funding_time
        if rate is None or (time is not None and time <= self.settled_at):
            return
        if due is not None and due <= event.timestamp and time != due:
            self.announced_rate, self.announced_time = rate, time
            return
        self.funding_rate = rate
        if time is not None and time > event.timestamp:
            self.funding_time = time

    def settle(self, due: int) -> Decimal | None:
        """The settlement at ``due`` happens: its rate, None if unknown; the next one is set."""
        rate = self.funding_rate
        self.settled_at = due
        self.funding_time = due + max(self.funding_interval_hours, 1) * MS_PER_HOUR
        if self.announced_rate is not None:
            self.funding_rate = self.announced_rate
            if self.announced_time is not None and self.announced_time > due:
                self.funding_time = self.announced_time
            self.announced_rate = self.announced_time = None
        return rate


class ClosedTrade(Struct, frozen=True, kw_only=True, gc=False):
    """The closed part of one fill: the row of table ``trades``.

    ``profit_loss`` is gross, in quote; ``fees`` is the closing fill's fee on the closed part.
    """

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    profit_loss: Decimal
    fees: Decimal
    slippage_bps: Decimal | None
    opened_at: int
    closed_at: int


class FundingPayment(Struct, frozen=True, kw_only=True, gc=False):
    """One settlement of one position; ``amount`` is what the account receives (negative: pays)."""

    symbol: str
    settlement_time: int
    quantity: Decimal
    mark_price: Decimal
    rate: Decimal
    amount: Decimal


Effect = ClosedTrade | FundingPayment


class PortfolioState(Struct, kw_only=True):
    """Everything the fold remembers; equal states have equal checksums.

    Attributes:
        peak_equity, day_start_equity: What losses are limited against; a reset re-bases both.
        high_water_equity, day_open_equity: The same, never re-based: what the run's figures
            ``max_drawdown_pct`` and ``worst_day_pct`` are reckoned from.
        low_equity, day_low_equity: Lowest since then; only a lower one can change the figures.
        cash: Equity without unrealised profit.
        day: Days since 1970-01-01 (UTC); -1 before the first.
    """

    start_equity: Decimal = ZERO
    cash: Decimal = ZERO
    realised_profit: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    unrealised_profit: Decimal = ZERO
    equity: Decimal = ZERO
    peak_equity: Decimal = ZERO
    high_water_equity: Decimal = ZERO
    low_equity: Decimal = ZERO
    day_start_equity: Decimal = ZERO
    day_open_equity: Decimal = ZERO
    day_low_equity: Decimal = ZERO
    day: int = -1
    max_drawdown_pct: Decimal = ZERO
    worst_day_pct: Decimal = ZERO
    mark_max_age_ms: int = 60_000
    positions: dict[str, Position] = {}
    markets: dict[str, Market] = {}
