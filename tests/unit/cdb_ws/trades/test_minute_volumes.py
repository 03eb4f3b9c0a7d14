"""A minute's volume against the venue's bar: what is short, and when nothing can be said."""

from decimal import Decimal

import pytest

from services.cdb_ws.trades.minute_volumes import MINUTE_MS, SETTLED_MS, MinuteSums
from services.cdb_ws.trades.rest_window import Span
from services.kernel.market.bar_ticks import Bar

pytestmark = pytest.mark.unit

START = 1_767_225_600_000
RECEIVED = START + 100 * MINUTE_MS


def at(minute: float) -> int:
    return START + int(minute * MINUTE_MS)


def settled(minute: int) -> int:
    """When a minute can be compared."""
    return at(minute + 1) + SETTLED_MS


def bar(minute: int, volume: int) -> tuple[int, Bar]:
    price = Decimal(100)
    return at(minute), Bar(price, price, price, price, Decimal(volume))


def sums(*volumes: int) -> MinuteSums:
    """Two trades in each minute, which add up to its volume."""
    made = MinuteSums()
    for minute, volume in enumerate(volumes):
        made.add(at(minute + 0.1), Decimal(volume - 1))
        made.add(at(minute + 0.9), Decimal(1))
    return made


def test_minutes_that_agree_are_whole() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.compare([bar(1, 20), bar(2, 30)], settled(2), RECEIVED) == []
    assert minutes.agreed == 2


def test_a_minute_with_less_volume_than_its_bar_is_a_loss() -> None:
    minutes = sums(10, 20, 30, 40)
    spans = minutes.compare([bar(1, 20), bar(2, 31), bar(3, 40)], settled(3), RECEIVED)
    assert spans == [Span(at(2), at(3) - 1)]


def test_a_minute_without_any_trade_is_a_loss_too() -> None:
    minutes = sums(10, 20)
    assert minutes.compare([bar(1, 20), bar(2, 5)], settled(2), RECEIVED) == [
        Span(at(2), at(3) - 1)
    ]


def test_the_minute_in_which_listening_began_says_nothing() -> None:
    assert sums(10).compare([bar(0, 99)], settled(0), RECEIVED) == []


@pytest.mark.parametrize(("since", "spans"), [(0, [Span(at(0), at(1) - 1)]), (0.5, [])])
def test_unless_it_was_reported_from_its_beginning(since: float, spans: list[Span]) -> None:
    minutes = MinuteSums()
    minutes.whole_since(at(since))
    for minute in range(2):
        minutes.add(at(minute + 0.6), Decimal(10))
    assert minutes.compare([bar(0, 99), bar(1, 10)], settled(1), RECEIVED) == spans


def test_a_minute_is_compared_when_it_has_settled_and_only_once() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.due(settled(1) - 1, RECEIVED) is None
    assert minutes.due(settled(1), RECEIVED) == at(1)
    assert minutes.compare([bar(1, 20), bar(2, 99)], settled(2) - 1, RECEIVED) == []
    assert minutes.due(settled(2), RECEIVED) == at(2)
    assert minutes.compare([bar(2, 31)], settled(2), RECEIVED) == [Span(at(2), at(3) - 1)]
    assert minutes.compare([bar(2, 31)], settled(2), RECEIVED) == []


def test_a_minute_of_which_a_loss_is_known_is_not_reported_again() -> None:
    minutes = sums(10, 20, 30)
    minutes.lost(Span(at(1.9), at(2.1)))
    assert minutes.compare([bar(1, 99), bar(2, 99)], settled(2), RECEIVED) == []


def test_bars_that_never_agree_are_not_believed() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.compare([bar(1, 21), bar(2, 31)], settled(2), RECEIVED) == []
    assert minutes.agreed == 0


def test_the_first_minute_that_agrees_confirms_those_before() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.compare([bar(1, 21)], settled(1), RECEIVED) == []
    assert minutes.compare([bar(2, 30)], settled(2), RECEIVED) == [Span(at(1), at(2) - 1)]


def test_what_was_found_meanwhile_is_not_short_any_more() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.compare([bar(1, 21)], settled(1), RECEIVED) == []
    minutes.add(at(1.5), Decimal(1))
    assert minutes.compare([bar(2, 30)], settled(2), RECEIVED) == []


def test_a_minute_after_which_nothing_was_received_may_still_be_brought() -> None:
    minutes = sums(10, 20, 30)
    assert minutes.due(settled(2), at(2) - 1) is None
    assert minutes.compare([bar(1, 99)], settled(2), at(2) - 1) == []
    assert minutes.due(settled(2), at(2)) == at(1)


def test_more_volume_than_the_venue_reports_is_no_loss() -> None:
    assert sums(10, 20).compare([bar(1, 19)], settled(1), RECEIVED) == []


def test_a_symbol_that_was_never_received_is_never_due() -> None:
    assert MinuteSums().due(settled(5), RECEIVED) is None


def test_minutes_without_bars_do_not_come_again_for_ever() -> None:
    minutes = sums(10)
    assert minutes.compare([], settled(3), RECEIVED) == []
    assert minutes.due(settled(3), RECEIVED) is None


def test_bars_that_lag_behind_are_waited_for() -> None:
    minutes = sums(10, 20, 30)
    minutes.compare([bar(1, 20)], settled(2), RECEIVED)
    assert minutes.due(settled(2), RECEIVED) == at(2)


def test_memory_is_bounded() -> None:
    minutes = sums(*range(10, 110))
    assert len(minutes._sums) <= 31
