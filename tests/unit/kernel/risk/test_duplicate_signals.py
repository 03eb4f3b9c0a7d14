"""A signal is decided once, however often it is posted."""

import pytest

from services.kernel.events import Alert, Order, Side, Verdict
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from services.kernel.risk.state.recent_ids import RecentIds
from tests import builders
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def orders(desk: Desk) -> list[Order]:
    return [event for event in desk.events if isinstance(event, Order)]


def test_the_same_entry_posted_four_times_is_ordered_once() -> None:
    """S7: it was traded four times."""
    desk = Desk()
    desk.trade(100)
    before = len(desk.events)

    decisions = [desk.signal(100, signal_id="mine") for _ in range(4)]

    assert [decision.verdict for decision in decisions] == [
        Verdict.APPROVED, *[Verdict.REJECTED] * 3
    ]  # fmt: skip
    assert {decision.reason for decision in decisions[1:]} == {Reason.DUPLICATE_SIGNAL}
    assert "decided before" in decisions[1].layers[0].detail
    assert (decisions[1].quantity, decisions[1].reduce_only) == (0, False)
    assert [order.signal_id for order in orders(desk)] == ["mine"]
    assert not [event for event in desk.events[before:] if isinstance(event, Alert)]


def test_the_same_exit_posted_twice_reduces_once() -> None:
    desk = Desk()
    desk.enter(100, quantity=10)

    first = desk.exit_signal(100, quantity=4, signal_id="out")
    again = desk.exit_signal(100, quantity=4, signal_id="out")

    assert (first.verdict, first.quantity) == (Verdict.APPROVED, 4)
    assert (again.verdict, again.reason) == (Verdict.REJECTED, Reason.DUPLICATE_SIGNAL)
    assert (again.reduce_only, again.price) == (True, 100)
    assert sum(order.reduce_only for order in orders(desk)) == 1


def test_a_signal_that_was_refused_is_not_decided_anew_either() -> None:
    desk = Desk()
    desk.trade(100)
    assert desk.signal(-1, signal_id="mine").reason == Reason.INVALID_SIGNAL
    assert desk.signal(100, signal_id="mine").reason == Reason.DUPLICATE_SIGNAL
    assert desk.signal(100, Side.SELL, signal_id="other").verdict is Verdict.APPROVED


def test_ids_are_kept_across_a_restart_and_forgotten_with_the_run() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100, signal_id="mine")

    again = RiskStage()
    again.restore(desk.risk.snapshot())
    assert again.state.signals.ids == {"mine": None}

    desk.feed(builders.run_started(at=desk.now))
    assert desk.risk.state.signals.ids == {}


def test_the_oldest_id_is_forgotten_first() -> None:
    recent = RecentIds()
    assert [recent.add(name, most=2) for name in "aba"] == [True, True, False]
    assert recent.add("c", most=2)
    assert list(recent.ids) == ["b", "c"], "a repetition does not make it younger"
    assert recent.add("a", most=2)
