"""Outputs on their way to the bus: their turn, and what is acknowledged while they wait for it."""

import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from services.kernel.events import Event
from services.runtime.bus.bus import Published, Refused, Unavailable
from services.runtime.consumer.pace import LockStepPace
from tests.bus_builders import tick

pytestmark = pytest.mark.unit
PATIENCE = 20


class TurnBus:
    """Takes outputs only after it was acknowledged what comes before their cause."""

    service = "cdb_core"

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.refused = 0
        self.calls: list[tuple[int, int]] = []

    def publish(self, events: Sequence[Event], *, cursor: int) -> Published:
        acknowledged = max((at for _, at in self.calls), default=0)
        if events and acknowledged < self.needed:
            self.refused += 1
            assert self.refused < PATIENCE, f"{self.needed} is never acknowledged"
            raise Refused("TURN", f"somebody waits for {self.needed}")
        self.calls.append((len(events), cursor))
        return Published(0, 0, cursor)

    def post(self, *_: object) -> None:
        """The question for the turn."""

    def open_connection(self, _: str) -> None:
        raise Unavailable("nobody listens to the progress")


def pace_on(bus: TurnBus, *, cursor: int, handled: int) -> LockStepPace:
    return LockStepPace(
        bus,  # type: ignore[arg-type]
        cursor,
        lambda: 0.0,
        handled=handled,
        head=197,
        stopping=threading.Event(),
        on_wait=lambda _: None,
        counters=Counter(),
    )


def test_while_outputs_wait_for_their_turn_everything_handled_is_acknowledged() -> None:
    bus = TurnBus(needed=196)
    pace = pace_on(bus, cursor=195, handled=195)
    pace.done(196)
    pace.publish([tick(0)], 197)
    assert bus.calls == [(0, 196), (1, 197)]


def test_what_the_snapshot_holds_counts_as_handled_after_a_restart() -> None:
    bus = TurnBus(needed=196)
    # The predecessor had handled 196 and died before it acknowledged that.
    pace = pace_on(bus, cursor=195, handled=196)
    pace.publish([tick(0)], 197)
    assert bus.calls == [(0, 196), (1, 197)]
