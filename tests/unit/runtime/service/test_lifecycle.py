import os
import signal
import time
from collections.abc import Iterator

import pytest

from services.runtime.service.lifecycle import Lifecycle

pytestmark = pytest.mark.unit


@pytest.fixture
def lifecycle() -> Iterator[Lifecycle]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    lifecycle = Lifecycle()
    yield lifecycle
    lifecycle.ended()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop(lifecycle: Lifecycle, number: signal.Signals):
    lifecycle.install_signals()
    os.kill(os.getpid(), number)
    assert lifecycle.stopping.wait(2.0)


def test_it_waits_longer_each_time_until_it_works_again(lifecycle: Lifecycle):
    def waited() -> float:
        began = time.monotonic()
        lifecycle.wait_before_retry("Redis is away")
        return time.monotonic() - began

    waits = [waited() for _ in range(4)]
    assert waits[3] > 2 * waits[0]
    assert lifecycle.waiting_for == "Redis is away"

    lifecycle.working()
    assert lifecycle.waiting_for is None
    assert waited() < waits[3]


def test_the_end_interrupts_a_wait(lifecycle: Lifecycle):
    lifecycle.stopping.set()
    began = time.monotonic()
    for _ in range(20):
        lifecycle.wait_before_retry("Redis is away")
    assert time.monotonic() - began < 1.0
