"""A new run's strategy goes on from the signals of the run before."""

import pytest

from services.kernel.events import OpeningStance, Side, Signal
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Momentum
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, MINUTE_MS, NOON

pytestmark = [pytest.mark.unit, pytest.mark.signal]

WINDOW = {"LOOKBACK_MINUTES": "1"}


def stage_with(*stances: OpeningStance, restarted: bool = False) -> SignalStage:
    stage = SignalStage()
    stage.handle(builders.run_started(WINDOW, opening=builders.account(stances=stances)))
    if restarted:
        snapshot, stage = stage.snapshot(), SignalStage()
        stage.restore(snapshot)
    return stage


def signals(stage: SignalStage, prices: list[int], symbol: str = BTC) -> list[Signal]:
    """A trade every second at these prices, each after its clock."""
    found: list[Signal] = []
    for second, price in enumerate(prices):
        now = NOON + second * 1000
        for event in (builders.clock(now), builders.trade(symbol, price, now)):
            found += builders.of_type(stage.handle(event), Signal)
    return found


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("side", "after"), [(Side.BUY, 99), (Side.SELL, 101), (Side.BUY, 100)])
def test_what_it_entered_in_the_run_before_it_leaves_when_its_rule_says_so(
    side: Side, after: int, restarted: bool
) -> None:
    stage = stage_with(OpeningStance(symbol=BTC, side=side), restarted=restarted)

    (leaving,) = signals(stage, [100] * 61 + [after])[:1]

    assert (leaving.reduce_only, leaving.direction) == (True, side.opposite)


def test_without_what_it_entered_there_is_nothing_to_leave() -> None:
    assert signals(stage_with(), [100] * 61 + [100]) == []


def test_it_stays_as_long_as_its_rule_says_so() -> None:
    stage = stage_with(OpeningStance(symbol=BTC, side=Side.BUY))

    assert signals(stage, [100] * 30 + [101] * 32) == []


@pytest.mark.parametrize(("rest_ms", "entries"), [(0, 1), (61_000, 1), (61_001, 0)])
def test_it_rests_as_long_as_it_would_have(rest_ms: int, entries: int) -> None:
    stage = stage_with(OpeningStance(symbol=BTC, rest_ms=rest_ms))

    assert len(signals(stage, [100] * 61 + [102])) == entries


def test_a_rest_is_of_its_symbol() -> None:
    stage = stage_with(OpeningStance(symbol=BTC, rest_ms=10 * MINUTE_MS))

    (entry,) = signals(stage, [100] * 61 + [102], ETH)

    assert not entry.reduce_only


def test_it_is_seeded_once() -> None:
    stage = stage_with(OpeningStance(symbol=BTC, side=Side.BUY))

    found = signals(stage, [100] * 61 + [99, 99, 99])

    assert [signal.reduce_only for signal in found] == [True]


def test_a_seed_changes_no_other_symbol() -> None:
    momentum = Momentum(TradingSettings.parse(WINDOW)[0])
    momentum.on_tick(builders.trade(ETH, 100))

    momentum.seed({BTC: Side.SELL}, {BTC: 5})

    assert momentum.status() == {
        ETH: {"wants": None, "seconds_in_window": 1},
        BTC: {"wants": Side.SELL, "seconds_in_window": 0},
    }
