"""State and results of the portfolio: positions, markets, trades, payments.

The account is kept in quote currency. What an inverse contract pays or takes in coins is booked at
the price of the event that books it: profit and fee at the fill's, funding at the mark price.
"""

from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from msgspec import Struct, field

from services.kernel.events import MarketData, Side
from services.kernel.events.costs import Costs
from services.kernel.instruments import perpetuals
from services.kernel.instruments.contracts import (
    GENERIC_MAINTENANCE_MARGIN_RATE,
    LIQUIDATION_FEE_RATE,
    Instrument,
)
from services.kernel.instruments.rounding import rounded
from services.kernel.market.prices import Prices
from services.kernel.units import HOUR_MS, ONE, ZERO


class Position(Struct, kw_only=True):
    """One open position.

    ``cost`` is what the open quantity was bought (or sold) for, in the contract's settle currency:
    quote, or base in an inverse contract. The average entry price is derived from it, so that
    nothing is lost to rounding when a position is closed in parts.

    Attributes:
        quantity: Signed, in the contract's unit (base; quote in an inverse contract).
        inverse: The kind of contract.
        booked: What this position has brought to cash so far, in quote: parts closed, less fees,
            funding included.
        costs: What opening and holding its open part has cost.
        priced_at: When the price that it came with from the run before was made, Unix ms.
        maintenance_rate: Maintenance margin of its tier, as a fraction of ``cost``.
        liquidation_fee_rate: Fraction of the notional.
        liquidation_price: Mark price at which an isolated position is liquidated.
        bankruptcy_price: Price at which an isolated position's margin is lost. It is closed there
            at worst.
        least_profit: The least that an isolated position is valued at, in quote: minus its margin.
        stop_loss_price: Mark price at which it is closed; a trailing stop moves it, one way only.
        take_profit_price: Mark price at which its gain is taken.
    """

    quantity: Decimal
    cost: Decimal
    mark_price: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal
    opened_at: int
    inverse: bool = False
    booked: Decimal = ZERO
    costs: Costs = field(default_factory=Costs)
    priced_at: int | None = None
    maintenance_rate: Decimal = ZERO
    liquidation_fee_rate: Decimal = ZERO
    liquidation_price: Decimal | None = None
    bankruptcy_price: Decimal | None = None
    least_profit: Decimal | None = None
    take_profit_price: Decimal | None = None

    @property
    def entry_price(self) -> Decimal:
        """Average entry price, quote per base."""
        size = abs(self.quantity)
        return size / self.cost if self.inverse else self.cost / size

    @property
    def side(self) -> Side:
        """BUY for a long position, SELL for a short one."""
        return Side.BUY if self.quantity > 0 else Side.SELL

    @property
    def base(self) -> Decimal:
        """Signed coins of the position: its profit moves by them times the change of price."""
        if not self.inverse:
            return self.quantity
        return self.cost if self.quantity > 0 else -self.cost

    @property
    def unrealised_profit(self) -> Decimal:
        """Profit at the mark price, in quote; never below ``least_profit``."""
        quantity = self.quantity
        # Long: coins at the mark price less what was paid for them; short: the other way round.
        if self.inverse:
            profit = self.base * self.mark_price - quantity
        else:
            profit = quantity * self.mark_price + (-self.cost if quantity > 0 else self.cost)
        least = self.least_profit
        return profit if least is None or profit > least else least

    @property
    def notional(self) -> Decimal:
        """Value at the mark price, in quote, never negative."""
        return abs(self.quantity) if self.inverse else abs(self.quantity) * self.mark_price

    @property
    def valuation_price(self) -> Decimal:
        """The mark price; the bankruptcy price where the mark price is beyond it."""
        mark, worst = self.mark_price, self.bankruptcy_price
        if worst is None:
            return mark
        return max(mark, worst) if self.quantity > 0 else min(mark, worst)

    @property
    def initial_margin(self) -> Decimal:
        """What the position ties up: its cost over its leverage, in quote at the mark price."""
        return self._in_quote(self.cost / self.leverage)

    @property
    def maintenance_margin(self) -> Decimal:
        """What must be left of its margin, in quote: maintenance margin and liquidation fee."""
        fee = self.notional * self.liquidation_fee_rate
        return self._in_quote(self.cost * self.maintenance_rate) + fee

    @property
    def is_beyond_liquidation(self) -> bool:
        """Whether an isolated position's margin is used up at its mark price."""
        price = self.liquidation_price
        if price is None:
            return False
        return self.mark_price <= price if self.quantity > 0 else self.mark_price >= price

    def protect(self, instrument: Instrument | None, *, isolated: bool) -> None:
        """Compute rates and prices of liquidation: quantity, leverage or contract changed."""
        tier = None if instrument is None else instrument.tier(self.quantity)
        rate = GENERIC_MAINTENANCE_MARGIN_RATE if tier is None else tier.maintenance_margin_rate
        fee = LIQUIDATION_FEE_RATE if instrument is None else instrument.liquidation_fee_rate
        self.maintenance_rate, self.liquidation_fee_rate = rate, fee
        if not isolated:
            return
        entry, margin = self.entry_price, self.cost / self.leverage
        self.liquidation_price = perpetuals.liquidation_price(
            self.quantity, entry, margin, rate, liquidation_fee_rate=fee, inverse=self.inverse
        )
        bankruptcy = perpetuals.bankruptcy_price(self.quantity, entry, margin, inverse=self.inverse)
        lost = margin
        if bankruptcy is not None:
            bankruptcy = rounded(bankruptcy, perpetuals.COST_STEP)
            if self.inverse:
                lost = margin * bankruptcy
        self.bankruptcy_price = bankruptcy
        unlimited = self.inverse and bankruptcy is None
        self.least_profit = None if unlimited else -rounded(lost, perpetuals.COST_STEP, ROUND_DOWN)

    def aim(self, take_profit_pct: Decimal) -> None:
        """Set the price at which the gain is taken: a fraction beyond the average entry price."""
        reached = self.entry_price * (ONE + take_profit_pct * self.side.sign)
        self.take_profit_price = rounded(reached, perpetuals.COST_STEP)

    def trail(self, distance_pct: Decimal) -> None:
        """Let the stop follow the mark price at a distance; it never moves back."""
        stop = self.stop_loss_price
        if self.quantity > 0:
            trailing = self.mark_price * (ONE - distance_pct)
            if stop is None or trailing > stop:
                self.stop_loss_price = trailing
        else:
            trailing = self.mark_price * (ONE + distance_pct)
            if stop is None or trailing < stop:
                self.stop_loss_price = trailing

    def _in_quote(self, amount: Decimal) -> Decimal:
        """An amount of settle currency in quote."""
        return amount * self.valuation_price if self.inverse else amount


class SymbolBook(Struct, kw_only=True):
    """One symbol's part of the account, in quote; over all symbols the parts make the whole.

    Attributes:
        profit: Realised + unrealised - fees + funding, at the mark price.
        peak_profit: The highest ``profit`` so far.
        day_start_profit: ``profit`` at 00:00 UTC.
        max_drawdown: Largest fall from the peak so far.
        round_trips, wins: Positions closed altogether, and those of them that brought a profit.
    """

    realised_profit: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    profit: Decimal = ZERO
    peak_profit: Decimal = ZERO
    day_start_profit: Decimal = ZERO
    max_drawdown: Decimal = ZERO
    round_trips: int = 0
    wins: int = 0

    def become(self, profit: Decimal) -> None:
        """Take the present profit in; peak and drawdown follow."""
        self.profit = profit
        if profit >= self.peak_profit:
            self.peak_profit = profit
        elif self.peak_profit - profit > self.max_drawdown:
            self.max_drawdown = self.peak_profit - profit


class RoundTrips(NamedTuple):
    """Positions closed altogether, and those of them that brought a profit."""

    closed: int
    wins: int


class SymbolPricing(Prices, kw_only=True):
    """What the fold knows of one symbol's prices and funding.

    Attributes:
        funding_rate, funding_time: Of the next settlement; the rate is None until it is announced.
        announced_rate, announced_time: Of the settlement after it, while the next one was due and
            waited for its clock; without them that settlement would be booked at the wrong rate,
            or never.
        settled_at: Time of the last settlement; nothing at or before it is settled again.
    """

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
        elif time is None or time == due or time > event.timestamp:
            self.funding_rate, self.funding_time = rate, time or due

    def settle(self, due: int, now: int) -> Decimal | None:
        """The settlement at ``due`` happens: its rate, None if unknown; the next one is set.

        A rate is for one settlement. What lies between ``due`` and ``now`` without a rate of its
        own is passed over.
        """
        rate, following = self.funding_rate, self.announced_time
        self.settled_at = due
        self.funding_rate = self.announced_rate
        self.announced_rate = self.announced_time = None
        interval = max(self.funding_interval_hours, 1) * HOUR_MS
        if following is None or following <= due:
            following = due + interval
        if self.funding_rate is None and following <= now:
            following = due + ((now - due) // interval + 1) * interval
        self.funding_time = following
        return rate

    def forget_funding(self) -> None:
        """Time went back: what was announced and settled belongs to another time."""
        self.funding_rate = self.funding_time = None
        self.announced_rate = self.announced_time = None
        self.settled_at = 0


class ClosedTrade(Struct, frozen=True, kw_only=True, gc=False):
    """The closed part of one fill: the row of table ``trades``; money in quote.

    Attributes:
        side: Of the position: BUY is a long one.
        entry_price: Average of the part that was closed.
        gross_profit: From the prices of the fills, before fees and funding; over ``exit_price`` it
            is what an inverse contract pays in coins.
        fees_open: The closed part's share of the fees that opened the position.
        fees_close: The fee of the closing fill on the closed part.
        funding: The closed part's share of what was received; negative where more was paid.
        slippage_cost: Of opening and closing, contained in ``gross_profit``: how much worse the
            fills were than the prices that their orders were decided at; negative is better.
        spread_cost, impact_cost: The parts of ``slippage_cost`` that are half-spreads, and what
            lies beyond the touch.
        exit_reason: The origin of the closing order; ``opposite_entry`` where an entry of the
            other side closed it.
        slippage_bps: Of the closing fill.
    """

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    gross_profit: Decimal
    fees_open: Decimal
    fees_close: Decimal
    funding: Decimal
    slippage_cost: Decimal
    spread_cost: Decimal
    impact_cost: Decimal
    exit_reason: str
    slippage_bps: Decimal | None
    opened_at: int
    closed_at: int

    @property
    def profit_loss(self) -> Decimal:
        """Net of the fees of opening and closing, and of funding."""
        return self.gross_profit - self.fees_open - self.fees_close + self.funding


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
        unrealised_profit: Sum over all positions.
        shortfall: What positions lost beyond what the account can pay: equity is never below zero.
        day: Days since 1970-01-01 (UTC); -1 before the first.
        cross_margin: The whole equity backs every position; else each has its own margin.
        contracts: The details of every listed contract.
        books: What every symbol that was traded has brought.
        round_trips: Net results in quote of the positions closed last, the oldest first.
    """

    start_equity: Decimal = ZERO
    cash: Decimal = ZERO
    realised_profit: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    unrealised_profit: Decimal = ZERO
    shortfall: Decimal = ZERO
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
    max_price_jump_pct: Decimal = ONE
    take_profit_pct: Decimal = ZERO
    trailing_stop_pct: Decimal = ZERO
    positions: dict[str, Position] = {}
    pricing: dict[str, SymbolPricing] = {}
    cross_margin: bool = False
    contracts: dict[str, Instrument] = {}
    books: dict[str, SymbolBook] = {}
    round_trips: list[Decimal] = []

    def reach(self, equity: Decimal) -> None:
        """Take the present equity; peak, lows and the run's losses follow."""
        self.equity = equity
        if equity > self.peak_equity:  # noqa: PLR1730  a call of max costs more than the rest
            self.peak_equity = equity
        if equity >= self.high_water_equity:
            self.high_water_equity = self.low_equity = equity
        elif equity < self.low_equity:
            self.low_equity = equity
            loss = loss_pct(self.high_water_equity, equity)
            self.max_drawdown_pct = max(self.max_drawdown_pct, loss)
        if equity < self.day_low_equity:
            self.day_low_equity = equity
            self.worst_day_pct = max(self.worst_day_pct, loss_pct(self.day_open_equity, equity))


def loss_pct(base: Decimal, equity: Decimal) -> Decimal:
    """Loss from ``base`` to ``equity`` as a fraction; 0 where there is none."""
    return (base - equity) / base if equity < base and base > 0 else ZERO


def drawdown(base: Decimal, equity: Decimal) -> Decimal | None:
    """As `loss_pct`; None where there was nothing to lose a part of."""
    return loss_pct(base, equity) if base > 0 else None
