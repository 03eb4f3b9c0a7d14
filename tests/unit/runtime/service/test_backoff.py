"""Back-off: longer each time, bounded, and over when asked to stop."""

import threading

import pytest

from services.runtime.bus.bus import Unavailable
from services.runtime.service.backoff import Backoff, retry

pytestmark = pytest.mark.unit


def test_delays_grow_to_a_bound_and_begin_again() -> None:
    backoff = Backoff(first=0.1, longest=1.0)
    delays = [backoff.next_delay() for _ in range(20)]
    assert 0.05 <= delays[0] <= 0.1
    assert all(0.5 <= delay <= 1.0 for delay in delays[5:])
    backoff.reset()
    assert backoff.next_delay() <= 0.1


def test_retry_returns_what_finally_works() -> None:
    answers = iter([Unavailable("away"), Unavailable("loading"), "here"])
    reasons: list[str] = []

    def action() -> str:
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    assert retry(action, threading.Event(), lambda reason: reasons.append(str(reason))) == "here"
    assert reasons == ["away", "loading"]


def test_retry_ends_when_asked_to_stop() -> None:
    stop = threading.Event()

    def action() -> None:
        stop.set()
        raise Unavailable("away")

    assert retry(action, stop) is None


def test_other_errors_pass() -> None:
    def action() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        retry(action, threading.Event())
