"""The kernel as a state machine: whatever happens in whatever order, what must hold holds.

Quick as it is; ``--hypothesis-profile=thorough`` plays 2,000 stories.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.kernel.events import (
    ConditionName,
    ConditionPhase,
    Event,
    OrderType,
    RiskDecision,
    Side,
    TimeInForce,
    Verdict,
    topics,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage
from tests import builders
from tests.builders import BTC, ETH, NOON
from tests.unit.kernel.portfolio.reference_account import Account, Contract
from tests.unit.kernel.watchman import Watchman

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
SYMBOLS = (BTC, ETH, XBT)
START_PRICES = {BTC: Decimal(100), ETH: Decimal(50), XBT: Decimal(8000)}
LIVELY = {
    "MAX_TRADES_PER_HOUR": "1000",
    "RISK_PER_TRADE_PCT": "0.004",
    "MAX_POSITION_PCT": "0.20",
    "MAX_DAILY_DRAWDOWN_PCT": "0.03",
    "CIRCUIT_BREAKER_THRESHOLD_PCT": "0.05",
    "DATA_STALE_TIMEOUT_SEC": "30",
    "ORDER_EXPIRY_SEC": "20",
    "LOSS_COOLDOWN_SEC": "60",
    "MAX_SLIPPAGE_PCT": "0.05",
}
TIGHTER = (
    {"RISK_PER_TRADE_PCT": "0.001"},
    {"MAX_POSITION_PCT": "0.05"},
    {"MAX_TOTAL_EXPOSURE_PCT": "0.10"},
    {"MAX_CORRELATED_EXPOSURE_PCT": "0.05"},
    {"MAX_LEVERAGE": "1"},
    {"MIN_LIQUIDATION_DISTANCE": "0.40"},
    {"MAX_TRADES_PER_HOUR": "1"},
    {"MAX_DAILY_DRAWDOWN_PCT": "0.01"},
    {"MAX_SIGNAL_AGE_SEC": "1"},
    {"MIN_NOTIONAL": "1000"},
)
"""Each makes a limit tighter, and must never let more pass."""
BEGAN, CLEARED = ConditionPhase.BEGAN, ConditionPhase.CLEARED
MULTIPLES = (-400, -70, -25, -12, -6, -2, 0, 0, 2, 6, 12, 25, 70)

symbols = st.sampled_from(SYMBOLS)
moves = st.tuples(*[st.sampled_from((-25, -6, -1, 0, 1, 6, 25))] * len(SYMBOLS))
scopes = st.sampled_from((None, *SYMBOLS))
sides = st.sampled_from(Side)
conditions = st.sampled_from(
    (ConditionName.DATABASE_AWAY, ConditionName.LAG, ConditionName.DATA_GAP)
)


class Kernel(RuleBasedStateMachine):
    """Market, strategy, operator, outside world and crashes, in any order."""

    @initialize()
    def begin(self) -> None:
        self.execution, self.risk, self.portfolio = ExecutionStage(), RiskStage(), PortfolioStage()
        self.pipeline = Pipeline((self.execution, self.risk, self.portfolio))
        self.now = NOON
        self.prices = dict(START_PRICES)
        self.due: dict[str, tuple[int, Decimal]] = {}
        accounts = {
            symbol: Account(Contract(inverse=symbol == XBT), Fraction(0)) for symbol in SYMBOLS
        }
        self.watch = Watchman(accounts, Decimal(100_000), Decimal("0.30"), self.portfolio.portfolio)
        contracts = [
            builders.instrument(BTC),
            builders.instrument(ETH),
            builders.instrument(XBT, inverse=True, lot_size=Decimal(1), tick_size=Decimal("0.5")),
        ]
        self.feed(builders.run_started(LIVELY, at=self.now))
        self.feed(builders.instruments(*contracts, at=self.now))
        self.feed(builders.clock(self.now))
        for symbol in SYMBOLS:
            self.feed(builders.trade(symbol, self.prices[symbol], self.now, 1000))

    @rule(symbol=symbols, move=st.sampled_from(MULTIPLES), volume=st.sampled_from((1, 50, 10_000)))
    def trade(self, symbol: str, move: int, volume: int) -> None:
        price = self.prices[symbol] * (1 + Decimal(move) / 1000)
        self.prices[symbol] = price = max(price.quantize(Decimal("0.5")), Decimal("0.5"))
        self.feed(builders.trade(symbol, price, self.now, volume))

    @rule(moves=moves)
    def market_goes_on(self, moves: tuple[int, ...]) -> None:
        """A second goes by, and everything trades."""
        self.wait(1)
        for symbol, move in zip(SYMBOLS, moves, strict=True):
            self.trade(symbol, move, 10_000)

    @rule(symbol=symbols, side=sides, tight=st.sampled_from(TIGHTER), moves=moves)
    def whole_entry(
        self, symbol: str, side: Side, tight: dict[str, str], moves: tuple[int, ...]
    ) -> None:
        self.market_goes_on((0, 0, 0))
        self.enter(symbol, side, 100, OrderType.MARKET, TimeInForce.GTC, tight)
        self.market_goes_on(moves)

    @rule(symbol=symbols, part=st.sampled_from((None, "3")), moves=moves)
    def whole_exit(self, symbol: str, part: str | None, moves: tuple[int, ...]) -> None:
        self.leave(symbol, part)
        self.market_goes_on(moves)

    @rule(symbol=symbols, half=st.sampled_from((1, 1, 2, 40)))
    def quote(self, symbol: str, half: int) -> None:
        gap = self.prices[symbol] * half / 10_000
        self.feed(
            builders.quote(symbol, self.prices[symbol] - gap, self.prices[symbol] + gap, self.now)
        )

    @rule(symbol=symbols, move=st.sampled_from(MULTIPLES))
    def mark(self, symbol: str, move: int) -> None:
        price = self.prices[symbol] * (1 + Decimal(move) / 1000)
        self.feed(builders.mark(symbol, price.quantize(Decimal("0.01")), self.now))

    @rule(symbol=symbols, rate=st.integers(-75, 75), minutes=st.integers(1, 90))
    def announce_funding(self, symbol: str, rate: int, minutes: int) -> None:
        due, fraction = self.now + minutes * 60_000, Decimal(rate) / 10_000
        self.due[symbol] = (due, fraction)
        self.feed(builders.funding(symbol, fraction, due, self.now))

    @rule(seconds=st.sampled_from((1, 1, 1, 2, 4, 25, 70, 3_700)))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000
        before = self.portfolio.portfolio.state.funding
        self.feed(builders.clock(self.now))
        settled = [s for s, (due, _) in self.due.items() if due <= self.now]
        if len(settled) == 1:
            self.watch.settled(settled[0], self.due[settled[0]][1], before)
        for symbol in settled:
            due, rate = self.due[symbol]
            self.due[symbol] = (due + 8 * 3_600_000, rate)

    @rule(
        symbol=symbols,
        side=sides,
        part=st.sampled_from((None, 1, 10, 300)),
        kind=st.sampled_from((OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT)),
        tif=st.sampled_from(TimeInForce),
        tight=st.sampled_from(TIGHTER),
    )
    def enter(
        self,
        symbol: str,
        side: Side,
        part: int | None,
        kind: OrderType,
        tif: TimeInForce,
        tight: dict[str, str],
    ) -> None:
        price = self.prices[symbol]
        fields: dict[str, Any] = {}
        if kind is OrderType.LIMIT:
            fields = {"order_type": kind, "limit_price": price, "time_in_force": tif}
        quantity = None if part is None else Decimal(part) * (1 if symbol != XBT else 100)
        signal = builders.signal(symbol, side, price, self.now, quantity=quantity, **fields)
        tighter = RiskStage()
        tighter.restore(self.risk.snapshot())
        tighter.state.settings = tighter.state.settings | tight
        tighter.restore(tighter.snapshot())

        (allowed,) = builders.of_type(self.feed(signal), RiskDecision)
        (strict,) = builders.of_type(tighter.handle(signal), RiskDecision)

        assert _size(strict) <= _size(allowed), (tight, strict, allowed)

    @rule(symbol=symbols, part=st.sampled_from((None, "0.001", "3")))
    def leave(self, symbol: str, part: str | None) -> None:
        held = self.watch.positions[symbol]
        side = Side.SELL if held >= 0 else Side.BUY
        quantity = Decimal(part) if part is not None else None
        signal = builders.signal(
            symbol, side, self.prices[symbol], self.now, quantity=quantity, reduce_only=True
        )
        self.feed(signal)

    @rule(symbol=symbols, side=sides, price=st.sampled_from(("NaN", "0", "-5", "1E+20")),
          quantity=st.sampled_from((None, "NaN", "0", "1E+30")), exit_=st.booleans())  # fmt: skip
    def nonsense(
        self, symbol: str, side: Side, price: str, quantity: str | None, exit_: bool
    ) -> None:
        signal = builders.signal(
            symbol, side, Decimal(price), self.now, quantity=quantity, reduce_only=exit_
        )
        self.feed(signal)

    @rule(symbol=symbols, side=sides, steal=st.booleans())
    def order_by_hand(self, symbol: str, side: Side, steal: bool) -> None:
        known = next(iter(self.watch.working), None)
        order_id = known if steal else None
        order = builders.order(
            symbol, side, 999, self.prices[symbol], self.now, order_id=order_id,
            external=True, approved_by=None,
        )  # fmt: skip
        assert all(not getattr(e, "filled_quantity", 0) for e in self.feed(order))

    @rule(kind=st.sampled_from((builders.halt, *[builders.reset] * 4)))
    def command(self, kind: Any) -> None:
        self.feed(kind(at=self.now))

    @rule(kind=st.sampled_from((builders.pause, *[builders.resume] * 4)), scope=scopes)
    def command_with_scope(self, kind: Any, scope: str | None) -> None:
        self.feed(kind(scope, at=self.now))

    @rule(name=conditions, phase=st.sampled_from((BEGAN, CLEARED, CLEARED)), scope=scopes)
    def condition(self, name: ConditionName, phase: ConditionPhase, scope: str | None) -> None:
        if name is not ConditionName.DATA_GAP:
            scope = None
        self.feed(builders.condition(name, phase, symbol=scope, at=self.now))

    @rule(universe=st.sampled_from((None, None, SYMBOLS, (BTC,), (ETH, XBT), ())))
    def choose(self, universe: tuple[str, ...] | None) -> None:
        """The feed chooses anew what may be entered."""
        self.feed(builders.instruments(at=self.now, universe=universe))

    @rule(which=st.sampled_from((topics.EXECUTION, topics.RISK)))
    def crash_and_restart(self, which: str) -> None:
        stage: Stage = self.execution if which == topics.EXECUTION else self.risk
        before = stage.snapshot()
        stage.restore(before)
        assert stage.snapshot() == before

    @invariant()
    def the_ledger_agrees(self) -> None:
        if hasattr(self, "watch"):
            self.watch.ledger_agrees()

    @invariant()
    def all_folds_are_one(self) -> None:
        if hasattr(self, "watch"):
            checksum = self.portfolio.portfolio.checksum()
            assert self.risk.portfolio.checksum() == checksum
            assert self.execution.portfolio.checksum() == checksum

    def teardown(self) -> None:
        """No state traps a position: whatever happened, all of it can be left."""
        if not hasattr(self, "watch"):
            return
        for _ in range(30):
            held = [symbol for symbol, quantity in self.watch.positions.items() if quantity]
            if not held:
                break
            self.now += 1000
            self.feed(builders.clock(self.now))
            for symbol in held:
                self.leave(symbol, None)
                self.now += 100
                self.feed(builders.trade(symbol, self.prices[symbol], self.now, 1_000_000))
        assert not any(self.watch.positions.values()), "a position cannot be left"
        self.watch.ledger_agrees()

    def feed(self, event: Event) -> list[Event]:
        published = []
        for seen in self.pipeline.feed(event):
            self.watch.see(seen)
            published.append(seen)
        self.watch.books_balance()
        return published


def _size(decision: RiskDecision) -> Decimal:
    return Decimal(0) if decision.verdict is Verdict.REJECTED else decision.quantity


thorough = settings.get_current_profile_name() == "thorough"
Kernel.TestCase.settings = settings(stateful_step_count=40, max_examples=2_000 if thorough else 40)
TestKernel = Kernel.TestCase
