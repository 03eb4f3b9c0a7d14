"""Publishing: one order, one time, one publisher per service."""

import json
from collections.abc import Callable

import pytest

from services.kernel.events import codec, topics
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus, Refused, Unavailable
from services.runtime.bus.redis import functions
from services.runtime.bus.redis.connection import ConnectionLost
from tests.bus_builders import clock, condition, run_started, tick
from tests.servers import RedisServer

pytestmark = pytest.mark.integration
BusOf = Callable[[str], Bus]


def all_events(bus: Bus) -> list[object]:
    return list(journal.read(bus, topics.TOPICS, 0, bus.head()))


def test_events_get_the_next_seq_and_a_dense_topic_seq(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    first = ws.publish([tick(0), clock(1), tick(1)])
    second = ws.publish([tick(2)])
    assert (first.first_seq, first.last_seq, second.first_seq) == (1, 3, 4)
    assert [(event.TOPIC, event.seq, event.topic_seq) for event in all_events(ws)] == [
        ("market_data", 1, 1),
        ("clock", 2, 1),
        ("market_data", 3, 2),
        ("market_data", 4, 3),
    ]


def test_a_subscriber_sees_one_readable_json_object_per_event(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    listener = Bus(open_redis.address("operator"), "operator").open_connection("test")
    listener.call("SUBSCRIBE", "market_data")
    bus_of("cdb_ws").publish([tick(7)])
    [message] = listener.receive(5.0)
    listener.close()
    body = json.loads(message[2])
    assert (body["type"], body["price"], body["seq"]) == ("market_data", "65000.1", 1)


def test_what_is_journalled_is_what_was_published_byte_for_byte(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    [entry] = journal.read_entries(ws, topics.TOPICS, 0, 1)
    expected = codec.encode(tick(0))[:-1] + b',"seq":1,"topic_seq":1}'
    assert entry.body == expected
    assert journal.holds(ws, "cdb_ws", 1, expected)
    assert not journal.holds(ws, "cdb_ws", 1, expected.replace(b"65000.1", b"65000.2"))
    assert not journal.holds(ws, "cdb_risk", 1, expected)


def test_a_large_publication_without_a_cursor_goes_in_chunks(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    published = ws.publish([tick(n) for n in range(1200)])
    assert (published.first_seq, published.last_seq, published.head) == (1, 1200, 1200)


def test_outputs_and_cursor_are_written_together(bus_of: BusOf) -> None:
    bus_of("cdb_ws").publish([tick(0)])
    risk = bus_of("cdb_risk")
    risk.publish([condition("cdb_risk")], cursor=1)
    assert risk.cursor_of("cdb_risk").seq == 1
    assert bus_of("cdb_risk").own_claim().cursor == 1


@pytest.mark.parametrize(
    ("cursor", "reason"), [(2, "STALE_CURSOR"), (1, "STALE_CURSOR"), (9, "FUTURE_CURSOR")]
)
def test_a_cursor_that_does_not_move_forward_is_refused_whole(
    bus_of: BusOf, cursor: int, reason: str
) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    ws.publish([tick(0), tick(1), tick(2)])
    core.publish([], cursor=2)
    with pytest.raises(Refused, match=reason) as refused:
        core.publish([condition("cdb_core")], cursor=cursor)
    assert refused.value.reason == reason
    assert ws.head() == 3


def test_the_newest_claimer_wins(bus_of: BusOf) -> None:
    old = bus_of("cdb_ws")
    old.publish([tick(0)], position="row 1")
    new = bus_of("cdb_ws")
    assert new.own_claim().position == "row 1"
    with pytest.raises(Refused) as refused:
        old.publish([tick(1)], position="row 2")
    assert refused.value.reason == "FENCED"
    assert new.publish([tick(1)], position="row 2").first_seq == 2


def test_a_topic_of_another_service_is_refused_before_anything_is_written(bus_of: BusOf) -> None:
    core = bus_of("cdb_core")
    with pytest.raises(Refused) as refused:
        core.publish([condition("cdb_core"), tick(0)])
    assert refused.value.reason == "TOPIC"
    assert core.head() == 0
    assert all_events(core) == []


def test_only_the_orchestrator_starts_a_run(bus_of: BusOf) -> None:
    core = bus_of("cdb_core")
    with pytest.raises(Refused) as refused:
        core.publish([run_started(producer="cdb_core")])
    assert refused.value.reason == "TOPIC"
    assert core.head() == 0


def test_another_epoch_is_refused(bus_of: BusOf, open_redis: RedisServer) -> None:
    ws = bus_of("cdb_ws")
    with open_redis.admin() as admin:
        admin.set("cdb:epoch", "another")
    with pytest.raises(Refused) as refused:
        ws.publish([tick(0)])
    assert refused.value.reason == "EPOCH"


def test_an_event_is_not_published_twice(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    [published] = all_events(ws)
    with pytest.raises(ValueError, match="published already, with seq 1"):
        ws.publish([published])


def test_what_a_restarted_shell_makes_again_exists_once(bus_of: BusOf) -> None:
    bus_of("cdb_paper_runner").publish([run_started()], shell_id="run 1")
    again = bus_of("cdb_paper_runner")
    assert again.own_claim().shell_id == "run 1"
    assert again.publish([run_started()], shell_id="run 1").last_seq == 0
    assert again.head() == 1


class CutAfterSending:
    """A connection that breaks when the command is on its way: the reply never arrives."""

    def __init__(self, real: object) -> None:
        self._real = real

    def pipeline(self, commands: list[bytes]) -> list[object]:
        self._real.pipeline(commands)
        raise ConnectionLost("cut")

    def close(self) -> None:
        self._real.close()


def test_a_publication_whose_reply_was_lost_exists_once(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    ws._connection = CutAfterSending(ws._connection)
    with pytest.raises(Unavailable):
        ws.publish([tick(1), tick(2)])
    assert ws.publish([tick(1), tick(2)]).last_seq == 3
    assert ws.publish([tick(3)]).first_seq == 4
    assert [event.trade_id for event in all_events(ws)] == ["0", "1", "2", "3"]


@pytest.mark.chaos
def test_a_server_that_lost_a_publication_is_noticed_by_whoever_made_it(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    before = open_redis.memory()
    ws.publish([tick(1)])
    # When it goes back to what it was, and nobody else knows better
    open_redis.go_back(before)
    # Then nothing is built on what is not there
    with pytest.raises(Refused, match="LOST"):
        ws.publish([tick(2)])
    # And whoever claims its place anew goes on from there
    ws.claim()
    ws.publish([tick(2)])


def test_refusals_and_repetitions_leave_no_gap_behind(bus_of: BusOf) -> None:
    core = bus_of("cdb_core")
    bus_of("cdb_paper_runner").publish([run_started()])
    core.publish([condition("cdb_core")], shell_id="a")
    core.publish([condition("cdb_core")], shell_id="a")
    core.publish([], cursor=1)
    with pytest.raises(Refused, match="STALE_CURSOR"):
        core.publish([], cursor=1)
    core.publish([], cursor=2)


def test_a_publication_that_arrives_late_does_not_exist_twice(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    # Given a command that a broken connection delivers after its repetition and its successor
    publication = ws._prepare([tick(0)], (), None, None, None)
    late = publication.commands[0]
    ws._settle(publication)
    ws.publish([tick(1)])
    with pytest.raises(Refused, match="FENCED"):
        ws.run(late)
    assert [event.trade_id for event in all_events(ws)] == ["0", "1"]


def test_an_interrupted_publication_is_finished_before_another(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    ws._connection.close()
    with pytest.raises(Unavailable):
        ws.publish([tick(0)])
    ws.publish([tick(1)])
    assert [event.trade_id for event in all_events(ws)] == ["0", "1"]


def test_a_full_server_holds_back_ticks_and_lets_the_clock_go_on(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    ws.publish([tick(0)])
    with open_redis.admin() as admin:
        before = admin.config_get("maxmemory")["maxmemory"]
        admin.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(Unavailable, match="OOM"):
                ws.publish([tick(1)])
            ws.publish([clock(1)])
            core.publish([], cursor=1)
            assert ws.memory_used() > 1.0
        finally:
            admin.config_set("maxmemory", before)
    ws.publish([tick(1)])
    assert [event.event_id for event in all_events(ws)] == [
        tick(0).event_id,
        clock(1).event_id,
        tick(1).event_id,
    ]


def test_a_server_with_other_functions_is_waited_for(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    with open_redis.admin() as admin:
        admin.function_load(functions.library().replace(functions.digest(), "0" * 40), replace=True)
    ws.close()
    with pytest.raises(Unavailable, match=r"other functions .* restart cdb_redis"):
        ws.publish([tick(1)])
    with open_redis.admin() as admin:
        admin.function_delete("cdb")
    with pytest.raises(Unavailable, match=r"other functions \(none\)"):
        ws.publish([tick(1)])
    with open_redis.admin() as admin:
        admin.function_load(functions.library(), replace=True)
    assert ws.publish([tick(1)]).first_seq == 2


def test_nobody_publishes_on_a_server_that_the_writer_has_not_opened(
    redis_server: RedisServer,
) -> None:
    ws = Bus(redis_server.address("cdb_ws"), "cdb_ws")
    with pytest.raises(Unavailable, match="waiting for cdb_db_writer"):
        ws.claim()


def test_several_commands_share_a_round_trip(bus_of: BusOf) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    assert ws.run(("HGET", "cdb:counters", "seq"), ("GET", "cdb:missing")) == [b"1", None]
