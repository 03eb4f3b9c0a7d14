"""What a run may enter: its whitelist or its movers; what else it holds can only be left."""

import pytest

from services.kernel.events import LayerVerdict, Side, Verdict
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH, SOL
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

HOLDS_ETH = builders.account(positions=[builders.opening_position(ETH, 10, 100)])


def holding_eth(settings: dict[str, str], source: str = "mexc") -> Desk:
    """A desk that listens to two symbols, and has a position in the second."""
    desk = Desk(settings, symbols=(BTC, ETH), opening=HOLDS_ETH, source=source)
    desk.trade(100, BTC)
    desk.trade(100, ETH)
    return desk


@pytest.mark.parametrize("source", ["mexc", "synthetic", "external"])
def test_a_held_symbol_outside_of_the_whitelist_is_not_entered_but_left(source: str) -> None:
    desk = holding_eth({"SYMBOL_WHITELIST": f"{BTC},{SOL}"}, source)

    for side in Side:  # adding to it, and netting it beyond zero
        refused = desk.signal(100, side, ETH, quantity=11)
        assert (refused.verdict, refused.reason) == (Verdict.REJECTED, Reason.NOT_IN_UNIVERSE)
        third = refused.layers[2]
        assert (third.verdict, third.value, third.limit) == (LayerVerdict.FAIL, None, None)
        assert third.detail == "the symbol is outside of the run's universe: exits only"
    assert desk.orders == []
    assert desk.signal(100, Side.BUY, BTC).verdict is not Verdict.REJECTED
    assert desk.exit_signal(100, Side.SELL, ETH).verdict is Verdict.APPROVED
    desk.wait(1)
    desk.trade(100, ETH)
    assert desk.position(ETH) == 0
    # Not even when nothing of it is left
    assert desk.signal(100, Side.BUY, ETH).reason == Reason.NOT_IN_UNIVERSE


def test_the_stop_of_a_held_symbol_outside_of_the_whitelist_works() -> None:
    held = builders.opening_position(ETH, 10, 100, stop=98)
    opening = builders.account(positions=[held])
    desk = Desk({"SYMBOL_WHITELIST": BTC}, symbols=(BTC, ETH), opening=opening, source="mexc")

    desk.trade("97.9", ETH)
    desk.wait(1)
    desk.trade("97.9", ETH)

    assert desk.position(ETH) == 0


def test_a_replay_s_universe_is_its_files() -> None:
    desk = holding_eth({"SYMBOL_WHITELIST": BTC}, source="replay")

    assert desk.signal(100, Side.BUY, ETH).verdict is not Verdict.REJECTED


def test_without_a_whitelist_it_is_what_the_feed_chose_last() -> None:
    desk = holding_eth({"SYMBOL_WHITELIST": ""})
    assert desk.signal(100, Side.BUY, ETH, quantity=1).verdict is not Verdict.REJECTED

    desk.feed(builders.instruments(at=desk.now, universe=[BTC]))
    assert desk.signal(100, Side.BUY, ETH, quantity=1).reason == Reason.NOT_IN_UNIVERSE
    assert desk.signal(100, Side.BUY, BTC, quantity=1).verdict is not Verdict.REJECTED

    desk.feed(builders.instruments(at=desk.now, universe=[ETH]))
    assert desk.signal(100, Side.BUY, BTC, quantity=1).reason == Reason.NOT_IN_UNIVERSE
    assert desk.signal(100, Side.BUY, ETH, quantity=1).verdict is not Verdict.REJECTED


def test_a_feed_that_could_not_choose_yet_opens_nothing() -> None:
    desk = holding_eth({})

    desk.feed(builders.instruments(at=desk.now, universe=[]))

    assert desk.signal(100, Side.BUY, BTC, quantity=1).reason == Reason.NOT_IN_UNIVERSE


def test_a_feed_cannot_widen_the_whitelist() -> None:
    desk = holding_eth({"SYMBOL_WHITELIST": BTC})

    desk.feed(builders.instruments(at=desk.now, universe=[BTC, ETH]))

    assert desk.signal(100, Side.BUY, ETH).reason == Reason.NOT_IN_UNIVERSE


def test_whitelist_and_universe_outlive_a_crash_and_end_with_the_run() -> None:
    desk = holding_eth({"SYMBOL_WHITELIST": f"{BTC} {ETH}"})
    desk.feed(builders.instruments(at=desk.now, universe=[BTC]))

    desk.risk.restore(desk.risk.snapshot())

    assert desk.risk.state.whitelist == (BTC, ETH)
    assert desk.signal(100, Side.BUY, ETH).reason == Reason.NOT_IN_UNIVERSE
    # The next run chooses anew
    desk.feed(builders.run_started({}, run_id="run-2", at=desk.now, source="mexc"))
    assert (desk.risk.state.whitelist, desk.risk.state.universe) == ((), None)
