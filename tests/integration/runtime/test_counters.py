"""Counters that were changed by hand: nothing is built on them; the journals put them right."""

from collections.abc import Callable
from typing import Any

import pytest

from services.kernel.events import topics
from services.runtime.bus import counters, journal
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.counters import Recorded
from services.runtime.bus.subscription import Subscription
from tests.bus_builders import clock, condition, tick
from tests.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos]
BusOf = Callable[[str], Bus]
HUGE = 9_200_000_000_000_000_000
NOTHING = Recorded(0, {})

CHANGES: dict[str, dict[str, Any]] = {
    "a seq beyond all": {"seq": HUGE},
    "a seq beyond 64 bits": {"seq": HUGE * 10},
    "a seq that is no number": {"seq": "nan"},
    "a seq that is a little ahead": {"seq": 9},
    "a seq that went back": {"seq": 1},
    "a seq that went back to another's last": {"seq": 3, "producer": topics.RISK},
    "no seq": {"seq": None},
    "no seq and no producer": {"seq": None, "producer": None},
    "another producer": {"producer": topics.CORE},
    "a producer that is none": {"producer": "x"},
    "a number of a topic beyond all": {"topic_seq:market_data": HUGE},
    "a number of a topic that is a little ahead": {"topic_seq:market_data": 5},
    "a number of a topic that went back": {"topic_seq:market_data": 1},
    "no number of a topic": {"topic_seq:market_data": None},
}
LOOKED_AT: dict[str, dict[str, Any]] = {
    "a topic's last event beyond all": {"topic_head:clock": HUGE},
    "a topic's last event that is another": {"topic_head:clock": 2},
    "a number of a topic without events": {"topic_seq:orders": 3},
    "a number that is none": {"topic_seq:orders": "x"},
    "a name that is none": {"anything": "else"},
}


@pytest.fixture
def traffic(bus_of: BusOf) -> dict[str, Bus]:
    """Seven events of two producers, the last one a tick."""
    buses = {name: bus_of(name) for name in (topics.WS, topics.RISK, topics.CORE)}
    buses[topics.WS].publish([tick(0), clock(1)])
    buses[topics.RISK].publish([condition(topics.RISK)])
    buses[topics.CORE].publish([condition(topics.CORE)], cursor=2)
    buses[topics.WS].publish([tick(1), clock(2), tick(2)])
    buses[topics.RISK].publish([], cursor=7)
    return buses


def change(server: RedisServer, changes: dict[str, Any]) -> None:
    """As whoever has some service's password."""
    attacker = server.address(topics.CORE).connect("test")
    try:
        for name, value in changes.items():
            if value is None:
                attacker.call("HDEL", "cdb:counters", name)
            else:
                attacker.call("HSET", "cdb:counters", name, value)
    finally:
        attacker.close()


def heal(server: RedisServer, recorded: Recorded = NOTHING) -> dict[str, tuple[str, str]]:
    connection = server.address("recovery").connect("test")
    try:
        return counters.heal(connection, recorded)
    finally:
        connection.close()


def held(server: RedisServer) -> dict[bytes, bytes]:
    with server.admin() as admin:
        return dict(admin.hgetall("cdb:counters"))


def test_what_nobody_changed_is_left_alone(
    open_redis: RedisServer, traffic: dict[str, Bus]
) -> None:
    assert heal(open_redis) == {}
    assert traffic[topics.WS].head() == 7


def test_an_empty_bus_is_left_alone(open_redis: RedisServer) -> None:
    assert heal(open_redis) == {}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_is_published_on_changed_counters_and_the_journals_put_them_right(
    open_redis: RedisServer, traffic: dict[str, Bus], changes: dict[str, Any]
) -> None:
    before = held(open_redis)
    change(open_redis, changes)
    for service in (topics.WS, topics.RISK):
        event = tick(3) if service == topics.WS else condition(service, number=1)
        if service == topics.RISK and all("market_data" in name for name in changes):
            continue  # it publishes on other topics
        with pytest.raises(Unavailable, match="cdb:counters is not what the journals say"):
            traffic[service].publish([event])

    healed = heal(open_redis)

    assert set(healed) == set(changes)
    assert held(open_redis) == before
    assert heal(open_redis) == {}
    assert traffic[topics.WS].publish([tick(3)]).first_seq == 8
    assert traffic[topics.RISK].publish([condition(topics.RISK, number=1)]).first_seq == 9
    events = list(journal.read(traffic[topics.WS], [topics.MARKET_DATA], 0, 9))
    assert [event.topic_seq for event in events] == [1, 2, 3, 4]


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("changes", LOOKED_AT.values(), ids=LOOKED_AT.keys())
def test_every_other_counter_is_put_right_too(
    open_redis: RedisServer, changes: dict[str, Any]
) -> None:
    before = held(open_redis)
    change(open_redis, changes)
    recorded = Recorded(2, {topics.MARKET_DATA: 1, topics.CLOCK: 1})
    assert set(heal(open_redis, recorded)) == set(changes)
    assert held(open_redis) == before


@pytest.mark.parametrize("changes", [CHANGES["a seq beyond all"], {"topic_seq:clock": HUGE}])
def test_no_reader_goes_to_a_place_that_was_never_published(
    open_redis: RedisServer, traffic: dict[str, Bus], changes: dict[str, Any]
) -> None:
    subscription = Subscription(traffic[topics.CORE], [topics.CLOCK], 0)
    while subscription.position < 7:
        subscription.receive(1.0)
        subscription.lag()
    change(open_redis, changes)
    with pytest.raises(Unavailable, match="cdb:counters is not what the journals say"):
        subscription.lag()
    again = Subscription(traffic[topics.CORE], [topics.CLOCK], 0)
    with pytest.raises(Unavailable, match="cdb:counters is not what the journals say"):
        again.receive(0)
    assert (subscription.position, again.position) == (7, 0)
    again.close()
    subscription.close()


def test_numbers_of_what_was_trimmed_come_from_the_record(
    open_redis: RedisServer, traffic: dict[str, Bus], bus_of: BusOf
) -> None:
    numbers = traffic[topics.WS].heads().topic_seqs
    bus_of(topics.DB_WRITER).publish([], cursor=7)
    with open_redis.admin() as admin:
        admin.xtrim(f"cdb:journal:{topics.RISK}", maxlen=0)
        admin.xtrim(f"cdb:journal:{topics.CORE}", maxlen=0)
    before = held(open_redis)
    change(open_redis, {"topic_seq:control": HUGE, "seq": 0})

    assert heal(open_redis, Recorded(7, numbers))["topic_seq:control"] == (str(HUGE), "2")
    assert held(open_redis) == before


def test_an_event_that_a_service_forged_far_ahead_moves_nothing(
    open_redis: RedisServer, traffic: dict[str, Bus]
) -> None:
    attacker = open_redis.address(topics.CORE).connect("test")
    body = f'{{"a":1,"seq":{HUGE},"topic_seq":1}}'
    attacker.call("XADD", f"cdb:journal:{topics.CORE}", f"{HUGE}-0", "e", body)
    attacker.close()
    change(open_redis, {"seq": HUGE, "producer": topics.CORE})

    assert heal(open_redis) == {"producer": (topics.CORE, topics.WS), "seq": (str(HUGE), "7")}
    assert traffic[topics.WS].publish([tick(3)]).first_seq == 8


def test_a_bus_that_has_less_than_the_record_is_not_healed_but_recovered(
    open_redis: RedisServer, traffic: dict[str, Bus]
) -> None:
    assert traffic[topics.WS].head() == 7
    change(open_redis, {"seq": 9})
    assert heal(open_redis, Recorded(8, {})) == {}


def test_a_bus_that_is_not_open_is_left_alone(
    open_redis: RedisServer, traffic: dict[str, Bus]
) -> None:
    assert traffic[topics.WS].head() == 7
    change(open_redis, {"seq": 9})
    with open_redis.admin() as admin:
        admin.set("cdb:verified", "an earlier life of the server")
    assert heal(open_redis) == {}


def test_trimming_leaves_what_the_counters_are_compared_with(
    open_redis: RedisServer, traffic: dict[str, Bus], bus_of: BusOf
) -> None:
    bus_of(topics.DB_WRITER).publish([], cursor=7)
    with open_redis.admin() as admin:
        for service in (*topics.STAGE_ORDER, topics.WS):
            admin.hset(f"cdb:snapshot:{service}", "cursor", 7)
    for bus in traffic.values():
        assert journal.trim(bus) == 8
    assert traffic[topics.RISK].publish([condition(topics.RISK, number=1)]).first_seq == 8
    assert heal(open_redis, Recorded(7, traffic[topics.WS].heads().topic_seqs)) == {}
