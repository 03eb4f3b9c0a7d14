"""Everything of one run that its result, statistics and report are made from; ticks as candles."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, field

from services.kernel.events import (
    Order,
    OrderResult,
    PortfolioSnapshot,
    RiskDecision,
    RunStarted,
    Signal,
    TradingStateChanged,
)
from services.kernel.instruments.contracts import Instrument
from services.kernel.portfolio.ledger import fill_costs
from services.kernel.portfolio.portfolio import ClosedTrade, FundingPayment


class Candle(NamedTuple):
    """One minute of a symbol's trades, or of the trades made from its bars.

    Attributes:
        minute: Minutes since 1970-01-01 UTC.
        volume: In base currency.
    """

    minute: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class AccountPoint(NamedTuple):
    """The account at one portfolio snapshot, which comes at each minute's first clock.

    Attributes:
        at: Unix ms.
        exposure: Gross notional of all positions, in quote.
    """

    at: int
    equity: Decimal
    exposure: Decimal


class StopPoint(NamedTuple):
    """A position's stop from a moment on; None where there is no position."""

    at: int
    symbol: str
    price: Decimal | None


class ClosingFill(NamedTuple):
    """A fill that closed a position or a part of one.

    Attributes:
        event_id: Of the order's result; the ``trade_id`` of table ``trades``.
    """

    event_id: str
    trade: ClosedTrade


class SymbolFacts(Struct, kw_only=True):
    """One symbol's market in a run.

    Attributes:
        kinds: Kinds of market data that came, backfill aside.
        newest: Time of the newest tick that is not backfill, Unix ms.
        point_gaps: How often each time between two points of bars occurred, by milliseconds.
    """

    contract: Instrument
    kinds: set[str] = field(default_factory=set)
    newest: int = 0
    point_gaps: dict[int, int] = field(default_factory=dict)
    candles: list[Candle] = field(default_factory=list)


class Fill(NamedTuple):
    """A fill of an order, and what it cost in quote; spread and impact lie in its price."""

    result: OrderResult
    fees: Decimal
    spread: Decimal
    impact: Decimal


class DataFile(NamedTuple):
    """A file of market data, named by its digest."""

    name: str
    sha256: str


class RunFacts(Struct, kw_only=True):
    """One run.

    Attributes:
        engine: ``events`` for a backtest that fed every tick; ``paper`` for a paper run.
        ended: Why the run ended; None where it goes on.
        first_tick, last_tick: Event times of the market, Unix ms; None without ticks.
        last_seq: Position of the last event in the total order.
        data: Files of a backtest's market.
        chain_head: Of a paper run: the chain's hash behind its last event, hexadecimal.
        decisions_hash: As `services.reports.decisions_hash` computes it.
        resets: Reason that an operator gave, by the event's id.
        seconds: Wall time that the run took.
    """

    started: RunStarted
    engine: str
    ended: str | None = None
    ticks: int = 0
    first_tick: int | None = None
    last_tick: int | None = None
    last_seq: int = 0
    symbols: dict[str, SymbolFacts] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    decisions: list[RiskDecision] = field(default_factory=list)
    states: list[TradingStateChanged] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    results: list[OrderResult] = field(default_factory=list)
    trades: list[ClosingFill] = field(default_factory=list)
    payments: list[FundingPayment] = field(default_factory=list)
    account: list[AccountPoint] = field(default_factory=list)
    stops: list[StopPoint] = field(default_factory=list)
    last: PortfolioSnapshot | None = None
    resets: dict[str, str] = field(default_factory=dict)
    data: list[DataFile] = field(default_factory=list)
    chain_head: str | None = None
    decisions_hash: str = ""
    seconds: float = 0.0

    def fills(self) -> Iterator[Fill]:
        """The fills of all orders, in order."""
        for result in self.results:
            if result.filled_quantity > 0 and result.filled_price is not None:
                inverse = self.symbols[result.symbol].contract.inverse
                costs = fill_costs(result, inverse=inverse)
                yield Fill(result, costs.fees, costs.spread, costs.impact)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.started.run_id

    @property
    def start_equity(self) -> Decimal:
        """Equity that the run began with, in quote."""
        account = self.started.account
        profit = sum((p.quantity * (p.mark_price - p.entry_price) for p in account.positions), ZERO)
        return account.cash + profit

    @property
    def end_equity(self) -> Decimal:
        """Equity of the last snapshot, in quote."""
        return self.start_equity if self.last is None else self.last.equity


ZERO = Decimal(0)
