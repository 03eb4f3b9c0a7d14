"""Cooldown after losses: a symbol that lost several times in a row rests (layer 7)."""

import pytest

from services.kernel.events import AlertPhase, Verdict
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from tests.builders import BTC, ETH
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def lose(desk: Desk, symbol: str = BTC) -> None:
    round_trip(desk, 99, symbol)


def win(desk: Desk, symbol: str = BTC) -> None:
    round_trip(desk, 102, symbol)


def round_trip(desk: Desk, price: int, symbol: str = BTC) -> None:
    desk.enter(100, symbol=symbol, quantity=1)
    desk.exit_signal(price, symbol=symbol)
    desk.wait(1)
    desk.trade(price, symbol)
    assert desk.position(symbol) == 0


def wish(desk: Desk, symbol: str = BTC) -> str | None:
    desk.trade(100, symbol)
    return desk.signal(100, symbol=symbol, quantity=1).reason


ROW = {"MAX_CONSECUTIVE_LOSSES": "3", "LOSS_COOLDOWN_SEC": "1800"}


def test_after_three_losses_in_a_row_the_symbol_rests_for_half_an_hour() -> None:
    desk = Desk(ROW, symbols=(BTC, ETH))
    for _ in range(3):
        lose(desk)

    assert wish(desk) == Reason.LOSS_COOLDOWN
    assert wish(desk, ETH) is None
    layer = next(d for d in reversed(desk.decisions) if d.symbol == BTC).layers[6]
    assert layer.verdict == "FAIL"
    assert layer.detail == "losses in a row: rests for 1800 s"
    assert (layer.value, layer.limit, layer.unit) == (3, 3, "losses")

    desk.wait(1799, step=7)
    assert wish(desk) == Reason.LOSS_COOLDOWN
    desk.wait(1)
    assert wish(desk) is None
    assert desk.risk.state.streaks[BTC].until == 0


def test_its_begin_and_end_are_told_once() -> None:
    desk = Desk(ROW)
    for _ in range(3):
        lose(desk)
    desk.wait(1805, step=5)

    phases = [(a.phase, a.symbol, a.layer) for a in desk.alerts_of("LOSS_COOLDOWN")]
    assert phases == [(AlertPhase.BEGAN, BTC, 7), (AlertPhase.CLEARED, BTC, 7)]


def test_a_win_ends_the_row() -> None:
    desk = Desk(ROW)
    lose(desk)
    lose(desk)
    win(desk)
    lose(desk)
    lose(desk)

    assert wish(desk) is None


def test_the_next_loss_after_the_rest_begins_another() -> None:
    desk = Desk(ROW)
    for _ in range(3):
        lose(desk)
    desk.wait(1801, step=3)

    lose(desk)

    assert wish(desk) == Reason.LOSS_COOLDOWN
    assert desk.risk.state.streaks[BTC].losses == 4


def test_a_profit_that_fees_eat_up_is_a_loss() -> None:
    desk = Desk({"MAX_CONSECUTIVE_LOSSES": "1"})

    round_trip(desk, 100)

    assert wish(desk) == Reason.LOSS_COOLDOWN


def test_a_part_that_is_closed_is_neither_win_nor_loss() -> None:
    desk = Desk({"MAX_CONSECUTIVE_LOSSES": "1"})
    desk.enter(100, quantity=2)

    desk.exit_signal(99, quantity=1)
    desk.wait(1)
    desk.trade(99)

    assert desk.position() == 1
    assert desk.risk.state.streaks == {}


def test_a_stop_counts_as_the_loss_it_is() -> None:
    desk = Desk({"MAX_CONSECUTIVE_LOSSES": "1"})
    desk.enter(100, quantity=1)

    desk.trade("97.9")
    desk.wait(1)
    desk.trade("97.9")

    assert desk.position() == 0
    assert wish(desk) == Reason.LOSS_COOLDOWN


def test_exits_pass_while_a_symbol_rests() -> None:
    desk = Desk({"MAX_CONSECUTIVE_LOSSES": "1"})
    desk.enter(100, quantity=1)
    desk.exit_signal(99, quantity="0.5")
    desk.risk.state.streak(BTC)
    desk.wait(1)
    desk.trade(99)

    assert desk.exit_signal(99).verdict is Verdict.APPROVED


def test_zero_seconds_switch_it_off() -> None:
    desk = Desk(ROW | {"LOSS_COOLDOWN_SEC": "0"})
    for _ in range(4):
        lose(desk)

    assert wish(desk) is None
    assert desk.alerts_of("LOSS_COOLDOWN") == []


def test_it_survives_a_restart() -> None:
    desk = Desk(ROW)
    for _ in range(3):
        lose(desk)

    restored = RiskStage()
    restored.restore(desk.risk.snapshot())

    assert restored.state.streaks[BTC] == desk.risk.state.streaks[BTC]
    assert restored.state.streaks[BTC].in_cooldown(desk.now)
