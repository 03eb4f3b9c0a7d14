"""Dead letters: kept, counted, and told when it begins, every minute, and when it is over."""

from collections.abc import Sequence

import pytest

from services.kernel.events import Alert, AlertPhase
from services.runtime.bus.bus import Claim, Unavailable
from services.runtime.bus.dead_letters import DeadLetters

pytestmark = pytest.mark.unit


class FakeBus:
    """Keeps what is written, or is away."""

    service = "cdb_core"

    def __init__(self) -> None:
        self.away = False
        self.written: list[tuple[object, ...]] = []
        self.published: list[Alert] = []

    def run(self, *commands: tuple[object, ...]) -> None:
        if self.away:
            raise Unavailable("away")
        self.written += commands

    def publish(self, events: Sequence[Alert]) -> None:
        if self.away:
            raise Unavailable("away")
        self.published += events

    def own_claim(self) -> Claim:
        return Claim("epoch", 1, 0, None, None)


def reported(bus: FakeBus, letters: DeadLetters, now_ms: int) -> list[tuple[AlertPhase, int]]:
    bus.published = []
    letters.report("run", now_ms)
    return [(alert.phase, alert.count) for alert in bus.published]


def test_a_letter_is_kept_with_its_reason_and_cut_to_size() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    letters.put("NOT_JSON", "signals", b"x" * 10_000)
    [written] = bus.written
    assert written[:2] == ("XADD", "cdb:dead:cdb_core")
    assert b"x" * 4096 in written
    assert letters.counts == {"NOT_JSON": 1}


def test_letters_wait_while_the_bus_is_away() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    bus.away = True
    for _ in range(150):
        letters.put("NOT_JSON", "signals", b"x")
    bus.away = False
    letters.flush()
    assert len(bus.written) == 100, "the newest are kept"
    assert letters.total == 150, "and all are counted"


def test_alerts_mark_changes() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    assert reported(bus, letters, 1) == []
    letters.put("NOT_JSON", "signals", b"x")
    assert reported(bus, letters, 1_000) == [(AlertPhase.BEGAN, 1)]
    letters.put("NOT_JSON", "signals", b"x")
    letters.put("NOT_JSON", "signals", b"x")
    assert reported(bus, letters, 60_000) == [], "at most one a minute"
    assert reported(bus, letters, 61_000) == [(AlertPhase.ONGOING, 2)]
    assert reported(bus, letters, 121_000) == [(AlertPhase.CLEARED, 1)]
    assert reported(bus, letters, 200_000) == []
    letters.put("NOT_JSON", "signals", b"x")
    assert reported(bus, letters, 201_000) == [(AlertPhase.BEGAN, 1)]


def test_an_alert_that_the_bus_did_not_take_is_due_again() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    letters.put("NOT_JSON", "signals", b"x")
    bus.away = True
    with pytest.raises(Unavailable):
        letters.report("run", 1_000)
    bus.away = False
    assert reported(bus, letters, 2_000) == [(AlertPhase.BEGAN, 1)]


def test_nothing_is_alerted_before_a_run_and_its_clock() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    letters.put("NOT_JSON", "signals", b"x")
    letters.report(None, 1_000)
    letters.report("run", None)
    assert not bus.published


def test_every_alert_has_its_own_id_and_says_where() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)
    letters.put("OVERSIZED", "orders", b"x")
    letters.report("run", 1_000)
    letters.report("run", 61_000)
    first, second = bus.published
    assert first.event_id != second.event_id
    assert first.context == {
        "service": "cdb_core", "reason": "OVERSIZED", "topic": "orders", "detail": "",
    }  # fmt: skip


def test_letter_and_alert_name_the_field_that_is_wrong() -> None:
    bus = FakeBus()
    letters = DeadLetters(bus)

    letters.put("MALFORMED", "signals", b"{}", "price is 'cheap', a number is needed")
    letters.put("MALFORMED", "signals", b"{}", "strength is 1e99, " + "9" * 1000)
    letters.report("run", 1_000)

    first, second = ([str(part) for part in written] for written in bus.written)
    assert first[first.index("detail") + 1] == "price is 'cheap', a number is needed"
    assert len(second[second.index("detail") + 1]) == 200
    (alert,) = bus.published
    assert "last MALFORMED on signals: strength is 1e99" in alert.message
    assert alert.context["detail"].startswith("strength is 1e99")
