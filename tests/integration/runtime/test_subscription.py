"""A subscription: ordered, without a gap, and nothing that nobody published."""

from collections.abc import Callable

import pytest

from services.kernel.events import SCHEMA_VERSION, MarketData, codec, topics
from services.runtime.bus import journal, recovery
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.recovery import Known
from services.runtime.bus.subscription import Batch, Rewound, Subscription
from tests.bus_builders import clock, condition, tick
from tests.deadline import Deadline
from tests.servers import RedisServer

pytestmark = pytest.mark.integration
BusOf = Callable[[str], Bus]


def receive_until(subscription: Subscription, enough: Callable[[Batch], bool]) -> Batch:
    """Everything received until ``enough`` says so."""
    total, deadline = Batch(), Deadline()
    while not enough(total):
        deadline.require(lambda: f"only {len(total.events)} events came")
        batch = subscription.receive(0.2)
        total.events += batch.events
        total.bodies += batch.bodies
        total.outside += batch.outside
        total.malformed += batch.malformed
        total.upto = batch.upto
    return total


def receive_events(subscription: Subscription, count: int) -> Batch:
    return receive_until(subscription, lambda total: len(total.events) >= count)


def numbers(batch: Batch) -> list[int]:
    return [int(e.trade_id or -1) for e in batch.events if isinstance(e, MarketData)]


def test_what_was_published_before_comes_first_and_then_what_happens(bus_of: BusOf) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    ws.publish([tick(n) for n in range(3000)])
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    early = receive_events(subscription, 3000)
    ws.publish([tick(n) for n in range(3000, 3100)])
    late = receive_events(subscription, 100)
    assert numbers(early) + numbers(late) == list(range(3100))
    assert late.upto == 3100
    assert [codec.decode(body) for body in late.bodies] == late.events
    subscription.close()


def test_it_begins_after_the_seq_that_is_known(bus_of: BusOf) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    ws.publish([tick(n) for n in range(10)])
    subscription = Subscription(core, [topics.MARKET_DATA], 7)
    assert numbers(receive_events(subscription, 3)) == [7, 8, 9]
    subscription.close()


def test_producers_are_merged_in_their_one_order(bus_of: BusOf) -> None:
    # Given pages that are cut: one producer has far more than the others
    ws, core, risk = bus_of("cdb_ws"), bus_of("cdb_core"), bus_of("cdb_risk")
    for n in range(0, 2500, 25):
        ws.publish([tick(m) for m in range(n, n + 25)])
        core.publish([condition("cdb_core", number=n)])
        risk.publish([condition("cdb_risk", number=n)])
    # When both topics are read from the journal and live
    topics_read = [topics.MARKET_DATA, topics.CONTROL]
    from_journal = list(journal.read(core, topics_read, 0, core.head()))
    subscription = Subscription(core, topics_read, 0)
    received = receive_events(subscription, 2700)
    # Then it is the order of publication
    assert [event.seq for event in from_journal] == list(range(1, 2701))
    assert received.events == from_journal
    subscription.close()


def test_other_topics_leave_no_hole(bus_of: BusOf) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    ws.publish([tick(0), clock(1), clock(2), tick(1)])
    assert numbers(receive_events(subscription, 2)) == [0, 1]
    assert subscription.catch_ups == 1
    subscription.close()


@pytest.mark.chaos
def test_a_subscriber_dropped_for_its_slowness_misses_nothing(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    with open_redis.admin() as admin:
        before = admin.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
        admin.config_set("client-output-buffer-limit", "pubsub 256kb 0 0")
        for n in range(0, 30_000, 500):
            ws.publish([tick(m) for m in range(n, n + 500)])
        admin.config_set("client-output-buffer-limit", before)
        assert "cdb_core-subscriber" not in {c["name"] for c in admin.client_list()}
    received = receive_events(subscription, 30_000)
    assert numbers(received) == list(range(30_000))
    assert subscription.drops >= 1
    subscription.close()


@pytest.mark.chaos
def test_a_server_that_restarts_loses_nothing(bus_of: BusOf, open_redis: RedisServer) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    ws.publish([tick(0)])
    receive_events(subscription, 1)
    epoch = core.own_claim().epoch
    open_redis.kill()
    with pytest.raises(Unavailable):
        receive_events(subscription, 1)
    open_redis.start()
    with pytest.raises(Unavailable, match="waiting for cdb_db_writer"):
        subscription.receive(0)
    recovery.restore(open_redis.address("recovery"), Known(epoch=epoch, seq=1))
    ws.close()
    ws.publish([tick(1)])
    assert numbers(receive_events(subscription, 1)) == [1]
    subscription.close()


def test_messages_without_a_seq_are_handed_out_apart(bus_of: BusOf) -> None:
    core, operator = bus_of("cdb_core"), bus_of("operator")
    subscription = Subscription(core, [topics.CONTROL], 0, outside_topics=[topics.SIGNALS])
    subscription.receive(0)
    operator.post("signals", '{"symbol": "BTCUSDT"}')
    operator.post("control", "not json")
    received = receive_until(subscription, lambda total: len(total.outside) >= 2)
    assert [(o.topic, o.body) for o in received.outside] == [
        ("signals", b'{"symbol": "BTCUSDT"}'),
        ("control", b"not json"),
    ]
    assert received.events == []
    subscription.close()


def test_of_a_topic_heard_only_for_messages_from_outside_nothing_published_comes(
    bus_of: BusOf,
) -> None:
    ws, operator = bus_of("cdb_ws"), bus_of("operator")
    subscription = Subscription(ws, [topics.CONTROL], 0, outside_topics=[topics.MARKET_DATA])
    subscription.receive(0)
    by_hand = [b'{"price": 1}', b'{"p":1,"seq":0}']
    for number, body in enumerate(by_hand):
        ws.publish([tick(number)])
        operator.post("market_data", body)
    received = receive_until(subscription, lambda total: len(total.outside) >= len(by_hand))
    assert [message.body for message in received.outside] == by_hand
    assert received.events == []
    assert received.malformed == []
    subscription.close()


def forged(number: int, seq: int, topic_seq: int) -> bytes:
    body = codec.encode(tick(number))[:-1]
    return body + f',"seq":{seq},"topic_seq":{topic_seq}}}'.encode()


@pytest.mark.parametrize(
    "forgery",
    [
        forged(99, 3, 3),  # exactly what comes next
        forged(99, 9, 9),  # from the future
        forged(99, 2, 2),  # in the place of one that exists
        b'{"type":"unheard_of","seq":3,"topic_seq":3}',
        forged(99, 10**30, 3),  # no place that a stream has
        forged(99, -3, 3),
        forged(99, 3, 3)[:-1] + b',"x":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
        forged(99, 3, 3).replace(b"BTC_USDT", b"\xff\xfe"),
    ],
)
def test_what_no_journal_holds_never_reaches_a_stage(bus_of: BusOf, forgery: bytes) -> None:
    ws, core, operator = bus_of("cdb_ws"), bus_of("cdb_core"), bus_of("operator")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    ws.publish([tick(0), tick(1)])
    receive_events(subscription, 2)
    # When somebody publishes what looks like the bus's own
    operator.post("market_data", forgery)
    apart = receive_until(subscription, lambda total: len(total.malformed) >= 1)
    ws.publish([tick(2), tick(3)])
    # Then it is set apart, and the real ones come
    assert [(m.body, m.reason) for m in apart.malformed] == [(forgery, "NOT_IN_JOURNAL")]
    assert numbers(apart) == []
    assert numbers(receive_events(subscription, 2)) == [2, 3]
    subscription.close()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_100 + b"]" * 1_100,
        b'{"symbol":' + b'{"a":' * 1_100 + b"1" + b"}" * 1_101,
        codec.encode(tick(9))[:-1] + b',"x":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
        b'{"seq":' + b"9" * 5_000 + b"}",
        b'{"symbol":"\xff"}',
        b"\0",
        b"",
    ],
)
def test_a_message_that_no_parser_can_read_is_one_from_outside(bus_of: BusOf, body: bytes) -> None:
    """S3: 1,100 nested lists were a RecursionError in every service."""
    ws, core, operator = bus_of("cdb_ws"), bus_of("cdb_core"), bus_of("operator")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    ws.publish([tick(0)])
    receive_events(subscription, 1)
    operator.post("market_data", body)
    apart = receive_until(subscription, lambda total: len(total.outside) >= 1)
    assert [message.body for message in apart.outside] == [body]
    ws.publish([tick(1)])
    assert numbers(receive_events(subscription, 1)) == [1]
    subscription.close()


def test_a_forgery_among_real_events_is_set_apart(bus_of: BusOf) -> None:
    ws, core, operator = bus_of("cdb_ws"), bus_of("cdb_core"), bus_of("operator")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    subscription.receive(0.05)
    ws.publish([tick(0)])
    operator.post("market_data", forged(99, 2, 2))
    ws.publish([tick(1), tick(2)])
    received = receive_until(
        subscription, lambda total: len(total.events) >= 3 and len(total.malformed) >= 1
    )
    assert numbers(received) == [0, 1, 2]
    assert [m.reason for m in received.malformed] == ["NOT_IN_JOURNAL"]
    subscription.close()


def test_an_event_that_is_sent_again_is_set_apart(bus_of: BusOf) -> None:
    ws, core, operator = bus_of("cdb_ws"), bus_of("cdb_core"), bus_of("operator")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    subscription.receive(0.05)
    ws.publish([tick(0)])
    received = receive_events(subscription, 1)
    operator.post("market_data", received.bodies[0])
    apart = receive_until(subscription, lambda total: len(total.malformed) >= 1)
    assert [m.reason for m in apart.malformed] == ["REPLAYED"]
    assert apart.events == []
    subscription.close()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"market_data"', b'"market_data_2"', "UNREADABLE"),
        (b'"schema_version":%d' % SCHEMA_VERSION, b'"schema_version":99', "NEWER_SCHEMA"),
    ],
)
def test_a_real_event_that_does_not_parse_is_set_apart_and_passed(
    bus_of: BusOf, old: bytes, new: bytes, reason: str
) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    # Given a producer of another version
    version_2 = codec.encode(tick(0))[:-1].replace(old, new)
    publication = ws._prepare([tick(0)], (), None, None, None)
    publication.commands[0][-1] = version_2
    ws._settle(publication)
    ws.publish([tick(1)])
    received = receive_until(subscription, lambda total: len(total.events) >= 1)
    assert numbers(received) == [1]
    assert [m.reason for m in received.malformed] == [reason]
    subscription.close()


def test_a_bus_that_has_less_than_was_seen_is_noticed(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    ws.publish([tick(0)])
    before = open_redis.memory()
    ws.publish([tick(1)])
    receive_events(subscription, 2)
    subscription.drop()
    open_redis.go_back(before)
    with pytest.raises(Rewound, match="at seq 1, and 2 was delivered"):
        subscription.receive(0)


@pytest.mark.chaos
def test_a_server_that_went_back_and_came_as_far_again_is_noticed(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    ws = bus_of("cdb_ws")
    subscription = Subscription(bus_of("cdb_core"), [topics.MARKET_DATA], 0)
    before = open_redis.memory()
    ws.publish([tick(0)])
    assert numbers(receive_events(subscription, 1)) == [0]
    # When the event that was delivered is gone, and another one has its place
    open_redis.go_back(before)
    ws.claim()
    ws.publish([tick(1), tick(2)])
    subscription.drop()
    # Then it does not go on as if nothing had happened
    with pytest.raises(Rewound, match="event 1 was delivered, and no journal holds it"):
        subscription.receive(0)


def test_one_trim_takes_all_that_nobody_needs_however_much(
    bus_of: BusOf, open_redis: RedisServer
) -> None:
    # Given more than Redis takes away in one step by itself
    ws = bus_of("cdb_ws")
    for n in range(0, 25_000, 500):
        ws.publish([tick(m) for m in range(n, n + 500)])
    bus_of("cdb_db_writer").publish([], cursor=24_900)
    with open_redis.admin() as admin:
        for service in (*topics.STAGE_ORDER, topics.WS):
            admin.hset(f"cdb:snapshot:{service}", "cursor", 24_900)
        journal.trim(ws)
        # Then only the newest stay, and what shares a node with them
        assert 100 <= admin.xlen("cdb:journal:cdb_ws") < 300


def test_a_trimmed_journal_is_no_silent_gap(bus_of: BusOf, open_redis: RedisServer) -> None:
    ws = bus_of("cdb_ws")
    for n in range(0, 2000, 500):
        ws.publish([tick(m) for m in range(n, n + 500)])
    assert journal.trim(ws) == 0, "nobody has a snapshot yet"
    bus_of("cdb_db_writer").publish([], cursor=1500)
    with open_redis.admin() as admin:
        for service in topics.STAGE_ORDER:
            admin.hset(f"cdb:snapshot:{service}", "cursor", 1800)
        journal.record_commit(ws, 1200)
        assert journal.trim(ws) == 0, "the source may start later, and must hear of the run"
        admin.hset(f"cdb:snapshot:{topics.WS}", "cursor", 1900)
        # When the journal is trimmed behind the slowest, which is how far the source looks back
        assert journal.trim(ws) == 1201
        assert admin.xlen("cdb:journal:cdb_ws") < 2000
    journal.record_commit(ws, 500)
    journal.trim(ws)
    late = bus_of("cdb_core")
    assert late.heads().trimmed == 1201, "what is gone stays gone"
    with pytest.raises(JournalTrimmed, match="begins at 1201"):
        Subscription(late, [topics.MARKET_DATA], 1199).receive(0)
    kept = Subscription(late, [topics.MARKET_DATA], 1200)
    assert numbers(receive_events(kept, 800)) == list(range(1200, 2000))
    kept.close()


def test_lag_counts_what_is_published_and_not_delivered(bus_of: BusOf) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.MARKET_DATA], 0)
    subscription.receive(0)
    ws.publish([tick(0), clock(1), tick(1)])
    assert subscription.lag() == 2
    receive_events(subscription, 2)
    assert subscription.lag() == 0
    subscription.close()


def test_in_a_silence_the_position_follows_the_head(bus_of: BusOf) -> None:
    ws, core = bus_of("cdb_ws"), bus_of("cdb_core")
    subscription = Subscription(core, [topics.CONTROL], 0)
    subscription.receive(0)
    ws.publish([tick(n) for n in range(10)])
    assert subscription.lag() == 0
    assert subscription.position == 10
    core.publish([condition("cdb_core")])
    assert subscription.lag() == 1
    assert subscription.position == 10, "not past what is still to come"
    assert [event.seq for event in receive_events(subscription, 1).events] == [11]
    subscription.close()
