"""A watch over the bus that fails is no secret: /health of the writer names why."""

import threading

import pytest

from services.cdb_db_writer import bus_guard
from services.cdb_db_writer.writer import RecordService
from services.kernel.events import topics
from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import ReplyError, Unavailable
from services.runtime.database.address import DatabaseAddress
from services.runtime.service.lifecycle import Lifecycle
from tests.deadline import DEADLINE_S, wait_until

pytestmark = pytest.mark.unit
NOWHERE = RedisAddress("127.0.0.1", 1, topics.DB_WRITER, "")
NO_DATABASE = DatabaseAddress("127.0.0.1", 1, "none", topics.DB_WRITER, "")


def writer() -> RecordService:
    made = RecordService(
        bus=Bus(NOWHERE, topics.DB_WRITER),
        recovery=NOWHERE,
        owner=NO_DATABASE,
        roles={topics.DB_WRITER: NO_DATABASE},
        lifecycle=Lifecycle(),
    )
    made.waiting_for = None  # its loop works
    return made


@pytest.mark.parametrize("error", [KeyError("producer"), ReplyError("NOPERM no rights")])
def test_an_unexpected_error_turns_the_writer_red_until_a_look_succeeds(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(bus_guard, "LOOK_EVERY_S", 0.01)
    service, stopping, errors = writer(), threading.Event(), [error]

    def look() -> None:
        if errors:
            raise errors[0]

    monkeypatch.setattr(service.guard, "look", look)
    assert service.health().ok
    watching = threading.Thread(target=service.guard.run, args=(stopping,))
    watching.start()
    try:
        wait_until(lambda: not service.health().ok, "red")
        assert service.health().reasons == (f"nobody watches over the bus: {error!r}",)
        errors.clear()
        wait_until(lambda: service.health().ok, "green")
    finally:
        stopping.set()
        watching.join(DEADLINE_S)


def test_a_bus_that_is_away_is_named_by_the_writer_and_not_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_guard, "LOOK_EVERY_S", 0.01)
    service, stopping, looks = writer(), threading.Event(), [0]

    def look() -> None:
        looks[0] += 1
        if looks[0] == 3:
            stopping.set()
        raise Unavailable("gone")

    monkeypatch.setattr(service.guard, "look", look)
    service.guard.run(stopping)
    assert service.health().ok
