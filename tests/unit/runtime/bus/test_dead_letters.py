"""Dead letters: kept, counted, and told when it begins, every minute, and when it is over."""

import pytest

from services.kernel.events import AlertPhase
from services.runtime.bus.bus import Claim, Unavailable
from services.runtime.bus.dead_letters import DeadLetters

pytestmark = pytest.mark.unit


class FakeBus:
    """Keeps what is written, or is away."""

    service = "cdb_core"

    def __init__(self) -> None:
        self.away = False
        self.written: list[tuple[object, ...]] = []

    def execute(self, *arguments: object) -> None:
        if self.away:
            raise Unavailable("away")
        self.written.append(arguments)

    def own_claim(self) -> Claim:
        return Claim("epoch", 1, 0, None, None)


def phases(letters: DeadLetters, now_ms: int) -> list[tuple[AlertPhase, int]]:
    return [(alert.phase, alert.count) for alert in letters.alerts("run", now_ms)]


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
    letters = DeadLetters(FakeBus())
    assert phases(letters, 0) == []
    letters.put("NOT_JSON", "signals", b"x")
    assert phases(letters, 1_000) == [(AlertPhase.BEGAN, 1)]
    letters.put("NOT_JSON", "signals", b"x")
    letters.put("NOT_JSON", "signals", b"x")
    assert phases(letters, 60_000) == [], "at most one a minute"
    assert phases(letters, 61_000) == [(AlertPhase.ONGOING, 2)]
    assert phases(letters, 121_000) == [(AlertPhase.CLEARED, 1)]
    assert phases(letters, 200_000) == []
    letters.put("NOT_JSON", "signals", b"x")
    assert phases(letters, 201_000) == [(AlertPhase.BEGAN, 1)]


def test_every_alert_has_its_own_id_and_says_where() -> None:
    letters = DeadLetters(FakeBus())
    letters.put("OVERSIZED", "orders", b"x")
    [first] = letters.alerts("run", 1_000)
    [second] = letters.alerts("run", 61_000)
    assert first.event_id != second.event_id
    assert first.context == {"service": "cdb_core", "reason": "OVERSIZED", "topic": "orders"}
