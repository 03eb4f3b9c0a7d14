"""Every documented variable changes a decision: none is read by nobody."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from services.kernel.events import Event, MarketData, OrderResult, Signal, Verdict
from services.kernel.settings.parameters import ALL_SPECS
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, NOON, SOL, THE
from tests.unit.kernel import moves
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

Settings = dict[str, str]
Story = Callable[[Settings], object]


def last_decision(desk: Desk) -> object:
    decision = desk.decisions[-1]
    return decision.verdict, decision.reason, decision.quantity


def one_entry(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.signal(100)
    return last_decision(desk)


def small_entry(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.signal(100, quantity="0.1")
    return last_decision(desk)


def entry_after_loss(settings: Settings) -> object:
    """3 % of the day, and of the peak, are lost."""
    opening = builders.account(97_000, day_start=100_000, peak=103_000, day=NOON // builders.DAY_MS)
    desk = Desk(settings, opening=opening)
    desk.trade(100)
    desk.signal(100, quantity=1)
    return last_decision(desk)


def entry_after_wide_spread(settings: Settings) -> object:
    desk = Desk(settings)
    for _ in range(25):
        desk.quote("99.99", "100.01")
    desk.quote("99.96", "100.04")
    desk.trade(100)
    desk.signal(100)
    return last_decision(desk)


def entry_after_jump(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(96)
    desk.trade(100)
    desk.signal(100)
    return last_decision(desk)


def entry_that_slips(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)
    desk.trade(101)
    return desk.results[-1].status


def entry_after_silence(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.wait(45)
    desk.signal(100)
    return last_decision(desk)


def entry_of_an_old_signal(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    signal = builders.signal(at=desk.now)
    desk.wait(3)
    desk.feed(signal)
    return last_decision(desk)


def fourth_position(settings: Settings) -> object:
    symbols = (BTC, ETH, SOL, THE)
    desk = Desk(settings, symbols=symbols)
    for symbol in symbols:
        desk.trade(100, symbol)
        desk.signal(100, symbol=symbol)
    return last_decision(desk)


def second_of_two_that_move_alike(settings: Settings) -> object:
    """Most steps are shared, so that the two are alike by more than 0.8 and less than 0.99."""
    desk = Desk({"MAX_CORRELATED_EXPOSURE_PCT": "0.15"} | settings, symbols=(BTC, ETH))
    moves.walk(desk, BTC, ETH, own="0.4")
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)
    desk.signal(100, symbol=ETH)
    return last_decision(desk)


def entry_soon_after_three_losses(settings: Settings) -> object:
    desk = Desk({"MAX_CONSECUTIVE_LOSSES": "3"} | settings)
    for _ in range(3):
        desk.enter(100, quantity=1)
        desk.exit_signal(99)
        desk.wait(1)
        desk.trade(99)
    desk.wait(10)
    desk.trade(100)
    desk.signal(100, quantity=1)
    return last_decision(desk)


def stop_of_an_entry(settings: Settings) -> object:
    desk = Desk(settings)
    desk.enter(100)
    desk.trade("98.5")
    return [order.origin for order in desk.orders]


def third_entry(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    for _ in range(3):
        desk.signal(100, quantity=1)
    return last_decision(desk)


def tick_after_an_order(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.signal(100)
    desk.feed(builders.trade(BTC, 100, desk.now + 300, 1000))
    return desk.execution.status()["open_orders"]


def price_of_a_fill(settings: Settings) -> object:
    return Desk({"MAX_COST_SHARE": "1", "STOP_LOSS_PCT": "0.05"} | settings).enter(100).filled_price


def exits_of_a_rise_and_a_fall(settings: Settings) -> object:
    desk = Desk(settings)
    desk.enter(100)
    for price in (102, "100.5"):
        desk.trade(price)
    return [decision.price for decision in desk.decisions if decision.reduce_only]


def unfilled_entry(settings: Settings) -> object:
    desk = Desk(settings)
    desk.trade(100)
    desk.signal(100)
    desk.wait(30)
    return desk.execution.status()["open_orders"]


def strategy_signals(settings: Settings) -> object:
    """Quarter of an hour at 100, then up by 1.2 %, back, and up again."""
    stage = SignalStage()
    stage.handle(builders.run_started(settings))
    ticks: list[MarketData] = [
        builders.trade(BTC, 100, NOON + second * 1000) for second in range(0, 1000, 10)
    ]
    for second, price in ((1001, "101.2"), (1010, "100"), (1030, "101.2")):
        ticks.append(builders.trade(BTC, price, NOON + second * 1000))
    outputs: list[Event] = [output for tick in ticks for output in stage.handle(tick)]
    return [(made.timestamp, made.direction) for made in builders.of_type(outputs, Signal)]


def account_of(settings: Settings) -> object:
    """The orchestrator opens the account with it; sizes follow equity."""
    desk = Desk(settings, opening=builders.account(settings.get("ACCOUNT_EQUITY", "100000")))
    desk.trade(100)
    return desk.signal(100).quantity


def sized_by(method: str, settings: Settings) -> object:
    """An entry after forty minutes in which the price swung by 0.3 % a minute."""
    desk = Desk({"SIZING_METHOD": method, "SIZING_BAR_MINUTES": "1", **settings})
    for second in range(0, 2400, 30):
        desk.trade("100.3" if second // 60 % 2 else 100)
        desk.wait(30, step=15)
    decision = desk.signal(100)
    return decision.requested_quantity, decision.stop_loss_price


def sized_by_atr(settings: Settings) -> object:
    return sized_by("atr", settings)


def sized_by_volatility(settings: Settings) -> object:
    return sized_by("volatility_target", settings)


def sized_by_default(settings: Settings) -> object:
    return sized_by("fixed_fraction", settings)


def sized_by_kelly(settings: Settings) -> object:
    """After twenty closed positions: as many won as lost, and hardly more."""
    desk = Desk({"SIZING_METHOD": "kelly", "KELLY_MIN_TRADES": "20", **settings})
    results = [Decimal(amount) for amount in ("10.1", "-10") * 10]
    desk.risk.portfolio.state.round_trips = results
    desk.trade(100)
    return desk.signal(100).requested_quantity


def ten_times_leverage_after_a_loss(settings: Settings) -> object:
    position = builders.opening_position(BTC, 10, 100, leverage=10)
    desk = Desk(settings, opening=builders.account(positions=[position]))
    desk.trade(90)
    return [order.origin for order in desk.orders]


CASES: dict[str, tuple[Story, str]] = {
    "ACCOUNT_EQUITY": (account_of, "50000"),
    "LOOKBACK_MINUTES": (strategy_signals, "30"),
    "SIGNAL_THRESHOLD_PCT": (strategy_signals, "0.02"),
    "SIGNAL_COOLDOWN_SEC": (strategy_signals, "10"),
    "VOLUME_FLOOR": (strategy_signals, "1000000"),
    "RISK_PER_TRADE_PCT": (one_entry, "0.001"),
    "MIN_NOTIONAL": (small_entry, "100"),
    "MAX_DAILY_DRAWDOWN_PCT": (entry_after_loss, "0.02"),
    "CIRCUIT_BREAKER_THRESHOLD_PCT": (entry_after_loss, "0.05"),
    "MAX_SPREAD_MULTIPLIER": (entry_after_wide_spread, "2"),
    "MAX_PRICE_JUMP_PCT": (entry_after_jump, "0.03"),
    "MAX_SLIPPAGE_PCT": (entry_that_slips, "0.005"),
    "MAX_COST_SHARE": (one_entry, "0.10"),
    "DATA_STALE_TIMEOUT_SEC": (entry_after_silence, "30"),
    "MAX_SIGNAL_AGE_SEC": (entry_of_an_old_signal, "2"),
    "MAX_TOTAL_EXPOSURE_PCT": (fourth_position, "0.40"),
    "MAX_CORRELATED_EXPOSURE_PCT": (second_of_two_that_move_alike, "0.10"),
    "CORRELATION_THRESHOLD": (second_of_two_that_move_alike, "0.99"),
    "MAX_POSITION_PCT": (one_entry, "0.05"),
    "MAX_LEVERAGE": (one_entry, "10"),
    "MIN_LIQUIDATION_DISTANCE": (one_entry, "0.50"),
    "MAX_VOLUME_SHARE": (one_entry, "0.05"),
    "STOP_LOSS_PCT": (stop_of_an_entry, "0.015"),
    "TAKE_PROFIT_PCT": (exits_of_a_rise_and_a_fall, "0.01"),
    "TRAILING_STOP_PCT": (exits_of_a_rise_and_a_fall, "0.01"),
    "MAX_TRADES_PER_HOUR": (third_entry, "2"),
    "MAX_CONSECUTIVE_LOSSES": (entry_soon_after_three_losses, "4"),
    "LOSS_COOLDOWN_SEC": (entry_soon_after_three_losses, "0"),
    "SIM_LATENCY_MS": (tick_after_an_order, "500"),
    "SIM_HALF_SPREAD_PCT": (price_of_a_fill, "0.01"),
    "SIM_IMPACT_PCT": (price_of_a_fill, "0.01"),
    "ORDER_EXPIRY_SEC": (unfilled_entry, "20"),
    "VOLATILITY_TARGET_PCT": (sized_by_volatility, "0.05"),
    "ATR_MULTIPLE": (sized_by_atr, "4"),
    "SIZING_BAR_MINUTES": (sized_by_volatility, "20"),
    "KELLY_FRACTION": (sized_by_kelly, "0.05"),
    "KELLY_MIN_TRADES": (sized_by_kelly, "21"),
    "MARGIN_MODE": (ten_times_leverage_after_a_loss, "cross"),
    "SIZING_METHOD": (sized_by_default, "atr"),
    "STRATEGY": (strategy_signals, "mean_reversion"),
}
"""Variable: a story in which it decides, and a value with which the story ends differently."""


@pytest.mark.parametrize("name", [spec.name for spec in ALL_SPECS])
def test_it_changes_a_decision(name: str) -> None:
    story, value = CASES[name]

    assert story({}) == story({})
    assert story({name: value}) != story({})


def test_the_deprecated_alias_changes_one_too() -> None:
    assert fourth_position({"MAX_EXPOSURE_PCT": "0.40"}) != fourth_position({})


@pytest.mark.parametrize(
    "stricter",
    [
        {"RISK_PER_TRADE_PCT": "0.001"},
        {"MAX_POSITION_PCT": "0.05"},
        {"MAX_TOTAL_EXPOSURE_PCT": "0.10"},
        {"MAX_TRADES_PER_HOUR": "1"},
        {"MIN_NOTIONAL": "2000"},
        {"MIN_LIQUIDATION_DISTANCE": "0.40"},
        {"MAX_SIGNAL_AGE_SEC": "1"},
    ],
)
def test_on_one_state_a_tighter_limit_never_approves_more(stricter: Settings) -> None:
    def approved(settings: Settings) -> list[Decimal]:
        desk = Desk(settings, symbols=(BTC, ETH))
        desk.trade(100, BTC)
        desk.trade(100, ETH)
        decisions = (
            desk.signal(100, quantity=40),
            desk.signal(100),
            desk.signal(100, symbol=ETH),
        )
        return [
            Decimal(0) if decision.verdict is Verdict.REJECTED else decision.quantity
            for decision in decisions
        ]

    loose, tight = approved({}), approved(stricter)

    assert tight[0] <= loose[0]
    assert sum(tight) <= sum(loose)


def test_the_defaults_together_let_a_whole_trade_happen() -> None:
    desk = Desk()

    fill = desk.enter(100)
    desk.wait(60)
    desk.trade(101)
    decision = desk.exit_signal(101)
    desk.wait(1)
    desk.trade(101)

    assert decision.verdict is Verdict.APPROVED
    assert isinstance(fill, OrderResult)
    assert desk.position() == 0
    assert desk.equity > 100_000
    assert [d.verdict for d in desk.decisions] == [Verdict.APPROVED] * 2
    assert desk.alerts == []
