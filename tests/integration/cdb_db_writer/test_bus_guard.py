"""The writer watches over the bus: counters changed by hand are put right, what loops is ended."""

import threading

import pytest
import redis

from services.kernel.events import Alert, AlertPhase, topics
from services.runtime.bus import journal
from services.runtime.bus.bus import Unavailable
from tests.bus_builders import clock, run_started, tick
from tests.deadline import wait_until
from tests.integration.cdb_db_writer.conftest import Play, StartWriter, check_chain
from tests.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos]
HUGE = 9_200_000_000_000_000_000
LOOPS = (
    "#!lua name=looping\n"
    "redis.register_function('loops_for_ever', function() while true do end end)"
)


def change_counter(server: RedisServer, name: str, value: int) -> None:
    """As whoever has the password of cdb_core."""
    attacker = server.address(topics.CORE).connect("test")
    attacker.call("HSET", "cdb:counters", name, value)
    attacker.close()


def publishes(play: Play, number: int) -> bool:
    try:
        play.publish(tick(number))
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("name", ["seq", "topic_seq:market_data"])
def test_counters_set_beyond_all_are_put_right_and_told_of(
    start_writer: StartWriter,
    play: Play,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    name: str,
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))

    change_counter(redis_server, name, HUGE)

    wait_until(lambda: publishes(play, 2), "the market goes on")
    head = play.publish(tick(3), clock(1000))
    running.wait_committed(head)
    assert head < 20
    assert running.writer.guard.counts["counters"] == 1

    def alerts() -> list[AlertPhase]:
        bus = play.bus(topics.WS)
        events = journal.read(bus, [topics.ALERTS], 0, bus.head())
        return [e.phase for e in events if isinstance(e, Alert) and e.code == "COUNTERS_CHANGED"]

    wait_until(lambda: alerts() == [AlertPhase.BEGAN], "the alert")
    ticks = postgres_server.query(
        "SELECT body->>'topic_seq' FROM market_data WHERE kind = 'trade' ORDER BY seq"
    )
    assert ticks == [("1",), ("2",), ("3",)]
    running.stop()
    assert check_chain(postgres_server) > 0


def test_counters_are_put_right_while_the_database_is_away(
    start_writer: StartWriter,
    play: Play,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))
    postgres_server.stop()
    try:
        play.publish(tick(2))
        wait_until(lambda: bool(running.errors), "the writer notices")
        change_counter(redis_server, "seq", HUGE)
        wait_until(lambda: publishes(play, 3), "the market goes on")
    finally:
        postgres_server.start()
    running.wait_committed(play.bus(topics.WS).head())


@pytest.mark.parametrize("kind", ["script", "function"])
def test_what_keeps_the_bus_busy_for_ever_is_ended(
    start_writer: StartWriter, play: Play, redis_server: RedisServer, kind: str
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))
    ended: list[str] = []

    def loop() -> None:
        with redis_server.admin() as admin:
            try:
                if kind == "script":
                    admin.eval("while true do end", 0)
                else:
                    admin.function_load(LOOPS, replace=True)
                    admin.fcall("loops_for_ever", 0)
            except redis.RedisError as error:
                ended.append(str(error))

    attack = threading.Thread(target=loop)
    attack.start()
    wait_until(lambda: running.writer.guard.counts["killed"] == 1, "it is killed")
    attack.join(30.0)
    assert "killed" in ended[0].lower()
    wait_until(lambda: publishes(play, 2), "the market goes on")
    running.wait_committed(play.bus(topics.WS).head())
    assert running.crashed is None
    with redis_server.admin() as admin:
        if kind == "function":
            admin.function_delete("looping")
