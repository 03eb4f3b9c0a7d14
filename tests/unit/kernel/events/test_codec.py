"""Events to bytes and back, their ids, and the schema made from them."""

from decimal import Decimal

import msgspec
import pytest

from services.kernel.events import (
    EVENT_TYPES,
    SCHEMA_VERSION,
    CommandRepeated,
    Event,
    MarketData,
    Side,
    codec,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.events.upcasts import upcast
from tests import builders
from tests.unit.kernel.desk import Desk

pytestmark = pytest.mark.unit


def one_of_each() -> list[Event]:
    """Every class of event at least once: what a day with everything in it publishes."""
    desk = Desk()
    desk.enter(100)
    desk.feed(msgspec.structs.replace(builders.halt(), command_id="1"))
    fed = [
        builders.trade(),
        builders.clock(),
        builders.signal(),
        builders.run_started(opening=builders.account(positions=[builders.opening_position()])),
        builders.run_ended(),
        builders.instruments(builders.instrument()),
        builders.halt(),
        CommandRepeated(**builders.envelope(topics.RISK, builders.NOON), command_id="1"),
        builders.reset(),
        builders.pause(),
        builders.resume("BTC_USDT"),
        builders.condition(),
        builders.recovered(),
        builders.record_head(),
        builders.portfolio_snapshot("checksum", builders.clock()),
    ]
    return [*desk.events, *fed]


def test_every_event_survives_the_way_to_json_and_back() -> None:
    events = one_of_each()

    assert {type(event) for event in events} == set(EVENT_TYPES)
    for event in events:
        assert codec.decode(codec.encode(event)) == event


def test_money_prices_and_quantities_are_strings_in_json() -> None:
    body = codec.encode(builders.trade(price="0.10", volume="3"))

    fields = msgspec.json.decode(body)
    assert (fields["price"], fields["volume"]) == ("0.10", "3")
    assert isinstance(fields["timestamp"], int)
    assert fields["type"] == "market_data"


def test_a_published_event_has_its_sequence_numbers_at_the_end() -> None:
    event = builders.trade()
    published = codec.encode(event)[:-1] + b',"seq":7,"topic_seq":3}'

    decoded = codec.decode(published)

    assert (decoded.seq, decoded.topic_seq) == (7, 3)
    assert codec.encode(decoded) != published or decoded.seq  # the bytes of record are the bus's


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"type":"unheard_of"}',
        b'{"type":"clock"}',
        codec.encode(builders.clock()).replace(b'"timestamp":', b'"timestamp":"soon","was":'),
        codec.encode(builders.signal()).replace(b'"BUY"', b'"HOLD"'),
        codec.encode(builders.clock())[:-1] + b',"x":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
        codec.encode(builders.clock()).replace(b"cdb_ws", b"\xff\xfe"),
        codec.encode(builders.clock()).replace(b'"timestamp":', b'"timestamp":' + b"9" * 5_000),
        b'{"schema_version":0,"x":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        codec.decode(body)


def of_version(body: bytes, version: int) -> bytes:
    return body.replace(b'"schema_version":%d' % SCHEMA_VERSION, b'"schema_version":%d' % version)


@pytest.mark.parametrize(
    "body",
    [
        codec.encode(builders.clock()),
        codec.encode(builders.clock()).replace(b'"clock"', b'"of_tomorrow"'),
        codec.encode(builders.signal()).replace(b'"BUY"', b'"HOLD"'),
    ],
    ids=["readable", "another type", "another value"],
)
def test_an_event_of_a_newer_schema_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(codec.NewerSchemaError) as refused:
        codec.decode(of_version(body, SCHEMA_VERSION + 1))
    assert str(refused.value) == (
        f"event schema {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}, the newest that this"
        " program knows: update the program"
    )


def test_an_event_of_a_schema_before_the_first_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="no step leads on from schema 0"):
        codec.decode(of_version(codec.encode(builders.clock()), 0))


def test_the_schema_describes_every_event_by_its_type() -> None:
    schema = codec.json_schema()

    assert len(schema["oneOf"]) == len(EVENT_TYPES)
    for kind in EVENT_TYPES:
        definition = schema["$defs"][kind.__name__]
        assert definition["properties"]["type"]["enum"] == [kind.__struct_config__.tag]
        assert {"event_id", "run_id", "timestamp"} <= set(definition["required"])


def test_every_event_belongs_to_a_topic_that_its_producer_may_publish() -> None:
    for event in one_of_each():
        assert event.TOPIC in topics.PRODUCES[event.producer], event


def test_events_are_immutable() -> None:
    with pytest.raises(AttributeError):
        builders.trade().price = Decimal(1)  # type: ignore[misc]


def test_the_same_parts_make_the_same_id_and_others_make_another() -> None:
    assert make_id("run", "stage", 1) == make_id("run", "stage", 1)
    assert make_id("run", "stage", 1) != make_id("run", "stage", 2)
    assert make_id("ab", "c") != make_id("a", "bc")
    assert len(make_id("run")) == 32


def test_an_output_s_id_follows_from_run_stage_cause_and_index_alone() -> None:
    cause = builders.clock(event_id="clock-1")
    one, two = Desk(), Desk()

    assert [e.event_id for e in one.feed(cause)] == [e.event_id for e in two.feed(cause)]


def test_outputs_name_their_cause_and_share_the_correlation_of_their_signal() -> None:
    desk = Desk()
    desk.trade(100)

    decision = desk.signal(100)
    desk.wait(1)
    fill = desk.trade(100)[0]

    order = desk.orders[-1]
    assert decision.causation_id == decision.signal_id
    assert decision.correlation_id == order.correlation_id == fill.correlation_id
    assert decision.order_id == order.order_id
    assert decision.decision_id == decision.event_id
    assert order.event_id == order.order_id
    assert decision.timestamp == desk.now - 1000  # its cause's


def test_sides_know_their_opposite_and_their_sign() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


def test_a_tick_without_optional_fields_is_short() -> None:
    body = codec.encode(builders.trade())

    assert b"null" not in body.replace(b'"causation_id":null,"correlation_id":null', b"")
    assert isinstance(codec.decode(body), MarketData)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WOULD_TAKE", "POST_ONLY_WOULD_CROSS"),
        ("IN_DOUBT", "CONDITION_OPEN"),
        ("DOUBT_CLEARED", "CONDITION_CLEARED"),
        ("ALREADY_SEEN", "DUPLICATE_ORDER"),
    ],
)
def test_a_reason_of_schema_1_has_its_present_name(old: str, new: str) -> None:
    result = builders.result(reason=old)
    read = codec.decode(of_version(codec.encode(result), 1))
    assert read == msgspec.structs.replace(result, reason=new)

    document = {
        "schema_version": 1,
        "context": {"reason": old, "origin": "stop_loss"},
        "changes": [{"reason": old, "symbol": None}, {"reason": "OPERATOR"}],
    }
    assert upcast(document) == {
        "schema_version": 2,
        "context": {"reason": new, "origin": "stop_loss"},
        "changes": [{"reason": new, "symbol": None}, {"reason": "OPERATOR"}],
    }
