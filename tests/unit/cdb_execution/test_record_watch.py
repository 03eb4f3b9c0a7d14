"""When published events have been unwritten for too long, and when the record has caught up."""

from dataclasses import replace

import pytest

from services.cdb_execution.config import UNWRITTEN_LIMIT_S
from services.cdb_execution.record_watch import CAUGHT_UP_S, LOOK_EVERY_S, RecordWatch
from services.kernel.events import topics
from services.runtime.bus.bus import Heads, Unavailable

pytestmark = [pytest.mark.unit, pytest.mark.risk]

NOTHING = Heads("epoch", 0, {}, dict.fromkeys(topics.TOPICS, 0), 0, in_step=False)


class World:
    """A bus, a record, tables and a clock, as the test moves them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.recorded_seq = 0
        self.committed_seq = 0
        self.is_writing = False
        self.away = False
        self._heads = NOTHING
        self.watch = RecordWatch(self, self, lambda: self.now)

    def heads(self) -> Heads:
        if self.away:
            raise Unavailable("away")
        return self._heads

    def publish(self, seq: int, topic: str = topics.MARKET_DATA) -> None:
        heads = {**self._heads.topic_heads, topic: seq}
        self._heads = replace(self._heads, seq=seq, topic_heads=heads)

    def in_step(self) -> None:
        self._heads = replace(self._heads, in_step=True)

    def look(self, seconds: float = LOOK_EVERY_S) -> None:
        """Look all the time while so many seconds go by."""
        end = self.now + seconds
        while self.now < end:
            self.now += LOOK_EVERY_S
            assert self.watch.look()


def test_what_is_written_in_time_is_not_behind() -> None:
    world = World()
    assert world.watch.behind is None
    for seq in range(1, 100):
        world.publish(seq)
        world.look()
        world.recorded_seq = world.committed_seq = seq
    assert world.watch.behind is False
    assert world.watch.age == 0


def test_an_event_unwritten_for_the_limit_is_too_long_and_before_it_is_not() -> None:
    world = World()
    world.look()
    world.publish(1)
    world.look()
    world.look(UNWRITTEN_LIMIT_S - LOOK_EVERY_S)
    assert world.watch.behind is False

    world.look()

    assert world.watch.behind is True
    assert world.watch.age == UNWRITTEN_LIMIT_S
    assert world.watch.why() == (
        "an event has been waiting to be written for 4.0 s: the record ends at 0;"
        " is cdb_db_writer running?"
    )


def test_it_is_noticed_within_five_seconds_whenever_it_begins() -> None:
    assert UNWRITTEN_LIMIT_S + 2 * LOOK_EVERY_S < 5


def test_an_event_that_came_later_is_measured_by_its_own_age() -> None:
    world = World()
    world.publish(1)
    world.look()
    for seq in range(2, 60):
        world.publish(seq)
        world.look()
        world.recorded_seq = world.committed_seq = seq - 12  # each is written three seconds late
    assert world.watch.behind is False
    assert world.watch.age == 12 * LOOK_EVERY_S


def test_tables_behind_the_record_are_too_long_for_their_own_topics_only() -> None:
    world = World()
    world.publish(10)
    world.recorded_seq = 20
    world.look(2 * UNWRITTEN_LIMIT_S)
    assert world.watch.behind is False

    world.publish(20, topics.ORDERS)
    world.committed_seq = 19
    world.look(2 * UNWRITTEN_LIMIT_S)
    assert world.watch.behind is True
    assert world.watch.why().endswith("orders and trades end at 19")

    world.committed_seq = 20
    world.look()
    assert world.watch.behind is False
    assert world.watch.why() == "the record has what was published"


def test_a_record_that_catches_up_is_behind_until_it_has() -> None:
    world = World()
    for seq in range(1, 101):
        world.publish(seq)
        world.look()
    assert world.watch.behind is True

    for seq in range(101, 111):  # it writes again, and what it writes is seconds old
        world.publish(seq)
        world.recorded_seq = world.committed_seq = seq - 20
        world.look()
    assert world.watch.behind is True

    late = int(CAUGHT_UP_S / LOOK_EVERY_S)
    world.recorded_seq = world.committed_seq = 110 - late
    world.publish(111)
    world.look()
    assert world.watch.age == CAUGHT_UP_S
    assert world.watch.behind is True
    world.recorded_seq = world.committed_seq = 112 - late
    world.publish(112)
    world.look()
    assert world.watch.behind is False


def test_a_start_says_nothing_before_it_knows() -> None:
    world = World()
    world.publish(5)
    world.look(UNWRITTEN_LIMIT_S)
    assert world.watch.behind is None
    world.look()
    assert world.watch.behind is True


def test_looks_are_rare() -> None:
    world = World()
    world.look()
    world.now += LOOK_EVERY_S / 2
    assert not world.watch.look()


@pytest.mark.parametrize("how", ["the bus is away", "nobody looked"])
def test_what_was_not_looked_at_is_not_held_against_the_record(how: str) -> None:
    world = World()
    world.look()
    world.publish(1)
    world.look()
    if how == "the bus is away":
        world.away = True
        for _ in range(40):
            world.now += LOOK_EVERY_S
            with pytest.raises(Unavailable):
                world.watch.look()
        world.away = False
    else:
        world.now += 60.0
    world.look(UNWRITTEN_LIMIT_S)
    assert world.watch.behind is False
    world.look()
    assert world.watch.behind is True


def test_in_lock_step_nothing_is_measured_in_seconds() -> None:
    world = World()
    world.publish(1)
    world.look(2 * UNWRITTEN_LIMIT_S)
    assert world.watch.behind is True
    world.in_step()
    world.look(2 * UNWRITTEN_LIMIT_S)
    assert world.watch.behind is False
    assert world.watch.age == 0


def test_tables_that_wait_for_a_lock_are_named_although_they_do_not_see_the_record_go_on() -> None:
    world = World()
    world.publish(20, topics.ORDERS)
    world.publish(21)
    world.recorded_seq, world.committed_seq = 20, 19

    world.look()
    world.look(2 * UNWRITTEN_LIMIT_S)

    assert world.watch.why().endswith("orders and trades end at 19")


def test_tables_that_wait_for_a_lock_are_named_although_the_event_came_after_their_last_look() -> (
    None
):
    world = World()
    world.publish(20, topics.ORDERS)
    world.publish(21, topics.ORDER_RESULTS)
    world.recorded_seq, world.committed_seq, world.is_writing = 20, 19, True

    world.look()
    world.look(2 * UNWRITTEN_LIMIT_S)

    assert world.watch.why().endswith("orders and trades end at 19")
