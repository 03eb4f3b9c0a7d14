"""The order tables' source: looks at the record now and then, and reads on while there is more."""

import pytest

from services.persistence.order_follower import POLL_S, RecordSource
from services.runtime.bus.batch import Batch

pytestmark = pytest.mark.unit


class Store:
    """A record of some length, read in pages of 100 seqs."""

    def __init__(self, recorded: int) -> None:
        self.record_seq = recorded

    def recorded(self, after: int) -> tuple[Batch, int]:
        return Batch(upto=max(after, min(after + 100, self.record_seq))), self.record_seq


class Waits(list[float]):
    """How long was waited; True once the loop is to stop."""

    stopping = False

    def __call__(self, seconds: float) -> bool:
        self.append(seconds)
        return self.stopping


def source_on(store: Store, after: int, waits: Waits) -> RecordSource:
    return RecordSource(store, after, waits)  # type: ignore[arg-type]


@pytest.mark.parametrize(("timeout", "waited"), [(POLL_S / 2, POLL_S / 2), (9.0, POLL_S)])
def test_between_two_looks_it_waits(timeout: float, waited: float) -> None:
    waits = Waits()
    source_on(Store(0), 0, waits).receive(timeout)
    assert waits == [waited]


def test_a_page_that_is_not_the_last_is_followed_at_once() -> None:
    waits = Waits()
    source = source_on(Store(150), 0, waits)
    assert [source.receive(1.0).upto for _ in range(3)] == [100, 150, 150]
    assert len(waits) == 2


def test_position_and_record_are_known() -> None:
    source = source_on(Store(150), 20, Waits())
    assert source.lag() == 0
    source.receive(1.0)
    assert (source.position, source.recorded_seq, source.lag()) == (120, 150, 30)


def test_a_record_behind_the_tables_moves_nothing_back() -> None:
    source = source_on(Store(10), 20, Waits())
    assert source.receive(1.0).upto == 20
    assert (source.position, source.lag()) == (20, 0)


def test_a_loop_that_is_to_stop_reads_nothing_more() -> None:
    waits = Waits()
    waits.stopping = True
    source = source_on(Store(150), 20, waits)
    assert source.receive(1.0) == Batch(upto=20)
    assert source.recorded_seq == 0
