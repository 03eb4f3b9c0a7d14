"""The one loop: what it receives is handled and committed once; a failure begins again."""

import threading
from collections.abc import Callable, Iterator

import pytest

from services.kernel.events import Event
from services.runtime.bus.batch import Batch, InvalidMessage, Rewound
from services.runtime.bus.bus import Claim, Refused, Unavailable
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.consumer.loop import OVERTAKEN, RECEIVE_S, Loop
from services.runtime.database.address import DatabaseAwayError, DatabaseRefusedError
from tests.bus_builders import tick

pytestmark = pytest.mark.unit

LAG_LIMIT = 10
PASSING = [
    Unavailable("away"),
    DatabaseAwayError("away"),
    DatabaseRefusedError("refused"),
    JournalTrimmed(3, 9),
    Rewound("less"),
    *(Refused(reason, "no") for reason in sorted(OVERTAKEN)),
]


class FakeBus:
    service = "cdb_core"

    def __init__(self) -> None:
        self.closed = False
        self.written: list[tuple[object, ...]] = []

    def run(self, *commands: tuple[object, ...]) -> None:
        self.written += commands

    def own_claim(self) -> Claim:
        return Claim("epoch", 1, 0, None, None)

    def close(self) -> None:
        self.closed = True


class FakeSource:
    """Delivers one tick per receipt, numbered on from a position."""

    def __init__(self, loop: "CountingLoop", position: int) -> None:
        self.position = position
        self.closed = False
        self.timeouts: list[float] = []
        self._loop = loop

    def receive(self, timeout: float) -> Batch:
        self.timeouts.append(timeout)
        self._loop.fail_at("receive")
        self.position += 1
        return Batch([tick(self.position)], [b""], upto=self.position)

    def lag(self) -> int:
        return 11

    def close(self) -> None:
        self.closed = True


class CountingLoop(Loop[list[Event], FakeSource]):
    """Commits every input as it is; fails once where a test says so."""

    def __init__(self, **options: object) -> None:
        self.time = 100.0
        self.waits: list[str] = []
        super().__init__(
            FakeBus(),  # type: ignore[arg-type]
            on_wait=self.waits.append,
            now=lambda: self.time,
            **options,  # type: ignore[arg-type]
        )
        self.failures: dict[str, BaseException] = {}
        self.sources: list[FakeSource] = []
        self.committed: list[tuple[list[str | None], int]] = []
        self.housekept = 0
        self.ended = False
        self.patient_s = 1.0

    def fail_at(self, place: str) -> None:
        failure = self.failures.pop(place, None)
        if failure is not None:
            raise failure

    def begin(self) -> FakeSource:
        self.fail_at("begin")
        self.sources.append(FakeSource(self, self.committed[-1][1] if self.committed else 0))
        return self.sources[-1]

    def handle(self, batch: Batch) -> Iterator[tuple[list[Event], int]]:
        self.fail_at("handle")
        yield list(batch.events), batch.upto

    def commit(self, outputs: list[Event], position: int) -> None:
        self.fail_at("commit")
        self.committed.append(([event.trade_id for event in outputs], position))  # type: ignore[attr-defined]

    def patience(self) -> float:
        return self.patient_s

    def housekeep(self) -> None:
        self.fail_at("housekeep")
        self.housekept += 1

    def end(self) -> None:
        self.fail_at("end")
        self.ended = True


def no_wait(loop: CountingLoop) -> CountingLoop:
    loop._backoff.wait = lambda _: False  # type: ignore[method-assign,assignment]
    return loop


def test_outputs_are_committed_with_the_position_behind_their_inputs() -> None:
    loop = CountingLoop()
    loop.start()
    assert [loop.step(1.0), loop.step(1.0)] == [1, 1]
    assert loop.committed == [(["1"], 1), (["2"], 2)]
    assert loop.counters == {"inputs": 2, "restarts": 1}


@pytest.mark.parametrize("failure", PASSING, ids=str)
@pytest.mark.parametrize("place", ["begin", "receive", "handle", "commit", "housekeep"])
def test_after_a_failure_anywhere_what_is_not_settled_comes_again(
    place: str, failure: Exception
) -> None:
    loop = no_wait(CountingLoop())
    loop.failures[place] = failure
    loop.attempt()
    assert loop.waiting_for == str(failure)
    assert loop.waits == [str(failure)]
    assert all(source.closed for source in loop.sources)
    for _ in range(2):
        loop.attempt()
    assert [position for _, position in loop.committed] == list(range(1, len(loop.committed) + 1))
    assert [name for [name], _ in loop.committed] == [str(seq) for _, seq in loop.committed]
    assert loop.waiting_for is None
    assert loop.counters["restarts"] == 2


@pytest.mark.parametrize("reason", ["FENCED", "TOPIC"])
def test_a_refusal_that_another_start_would_not_change_ends_the_loop(reason: str) -> None:
    loop = CountingLoop()
    loop.failures["commit"] = Refused(reason, "no")
    with pytest.raises(Refused, match=reason):
        loop.run(threading.Event())
    assert not loop.ended
    assert loop.sources[0].closed
    assert loop.bus.closed  # type: ignore[attr-defined]


def test_what_was_received_and_never_published_becomes_a_dead_letter() -> None:
    loop = no_wait(CountingLoop())
    loop.failures["receive"] = Rewound("less", [InvalidMessage("signals", b"x", "NOT_IN_JOURNAL")])
    loop.attempt()
    assert loop.dead_letters.counts == {"NOT_IN_JOURNAL": 1}


def test_a_loop_that_is_to_stop_settles_the_rest_and_disconnects() -> None:
    loop, stop = CountingLoop(), threading.Event()
    loop._on_batch = stop.set
    loop.run(stop)
    assert (loop.ended, loop.sources[0].closed, len(loop.committed)) == (True, True, 1)
    assert loop.bus.closed  # type: ignore[attr-defined]


def test_what_cannot_be_settled_at_the_end_is_said() -> None:
    loop, stop = CountingLoop(), threading.Event()
    loop._on_batch = stop.set
    loop.failures["end"] = Unavailable("away")
    loop.run(stop)
    assert loop.waits == ["not settled at the end: away"]


def test_a_receipt_waits_no_longer_than_outputs_may() -> None:
    loop = CountingLoop()
    loop.start()
    loop.step(0.3)
    loop.patient_s = 0.1
    loop.step(0.3)
    assert loop.sources[0].timeouts == [0.3, 0.1]
    assert Loop.patience(loop) == RECEIVE_S


def test_the_lag_is_measured_about_once_a_second() -> None:
    seconds: list[float] = []
    loop = CountingLoop(every_second=lambda: seconds.append(loop.time))
    loop.start()
    for at in (100.0, 100.9, 101.0, 101.5, 102.0):
        loop.time = at
        loop.step(1.0)
    assert seconds == [100.0, 101.0, 102.0]
    assert (loop.housekept, loop.lag) == (3, 11)


@pytest.mark.parametrize(("lag", "reasons"), [(LAG_LIMIT, ()), (LAG_LIMIT + 1, ("11 events",))])
def test_a_loop_that_is_too_far_behind_is_not_healthy(lag: int, reasons: tuple[str, ...]) -> None:
    loop = CountingLoop()
    loop.waiting_for, loop.lag = None, lag
    found = loop.measured(LAG_LIMIT)
    assert tuple(reason[:9] for reason in found.reasons) == reasons
    assert found.measured == {"bus_lag_events": lag}


def test_a_loop_that_waits_says_for_what() -> None:
    loop = CountingLoop()
    assert loop.measured(LAG_LIMIT).reasons == ("the first connection",)


def test_a_step_before_the_start_is_a_mistake() -> None:
    step: Callable[[float], int] = CountingLoop().step
    with pytest.raises(RuntimeError, match="start the loop"):
        step(0.0)
