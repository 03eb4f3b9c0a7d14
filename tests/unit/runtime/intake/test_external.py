"""Messages from outside: what people type by hand becomes what they meant, or a dead letter."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.kernel.events import (
    Alert,
    BarPoint,
    Event,
    Halt,
    MarketData,
    MarketDataKind,
    Order,
    OrderType,
    Origin,
    Pause,
    Reset,
    Resume,
    Side,
    Signal,
    TimeInForce,
)
from services.kernel.events.topics import TAKES_FROM_OUTSIDE, TOPICS
from services.runtime.intake.external import (
    MAX_BYTES,
    OWNERS,
    Intake,
    InvalidMessageError,
    normalise,
)

pytestmark = pytest.mark.unit
NOW = 1_700_000_000_123
TICK = {"symbol": "BTC_USDT", "price": 1, "volume": 1}


def taken(topic: str, message: bytes | dict[str, Any], *, unique: str = "1") -> Event:
    body = message if isinstance(message, bytes) else msgspec.json.encode(message)
    producer = TAKES_FROM_OUTSIDE.get(topic, "cdb_ws")
    return normalise(topic, body, run_id="run", now_ms=NOW, unique=unique, producer=producer)


def tick(**fields: Any) -> MarketData:
    event = taken("market_data", {**TICK, **fields})
    assert isinstance(event, MarketData)
    return event


def test_the_least_that_makes_a_trade() -> None:
    event = taken("market_data", b'{"symbol":"BTCUSDT","price":65000.10,"volume":"0.013"}')
    assert isinstance(event, MarketData)
    assert event.kind is MarketDataKind.TRADE
    assert (event.symbol, event.timestamp, event.source) == ("BTC_USDT", NOW, "external")
    assert str(event.price) == "65000.10", "exactly as it was written"
    assert (event.external, event.producer, event.run_id) == (True, "cdb_ws", "run")
    assert (event.seq, event.topic_seq) == (0, 0)


@pytest.mark.parametrize(
    "given", ["BTC_USDT", "BTCUSDT", "BTC/USDT", "btc_usdt", "btcusdt", "btc-usdt", " BTC_USDT "]
)
def test_symbols_in_every_spelling(given: str) -> None:
    assert tick(symbol=given).symbol == "BTC_USDT"


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500),
        ("1700000000", 1_700_000_000_000),
        (1_700_000_000_123, 1_700_000_000_123),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20.250", 1_700_000_000_250),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        (None, NOW),
    ],
)
def test_timestamps_in_seconds_milliseconds_and_iso(given: object, milliseconds: int) -> None:
    assert tick(timestamp=given).timestamp == milliseconds


LEAST: dict[str, dict[str, Any]] = {
    "market_data": TICK,
    "signals": {"symbol": "BTC_USDT", "direction": "buy", "price": 1},
    "orders": {"symbol": "BTC_USDT", "side": "buy", "quantity": 1},
    "alerts": {"message": "x"},
    "operator": {"type": "halt", "reason": "x"},
}


@pytest.mark.parametrize("topic", sorted(TAKES_FROM_OUTSIDE))
@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (NOW + 5_000, None),
        (NOW + 5_001, "TIME_AHEAD"),
        ("9999-12-31T23:59:59Z", "TIME_AHEAD"),
        (NOW - 60_000, None),
        (NOW - 60_001, "TIME_BEHIND"),
        ("1970-01-01T00:00:01Z", "TIME_BEHIND"),
        ("0001-01-01T00:00:00Z", "TIME_BEHIND"),
        (1, "TIME_BEHIND"),
    ],
)
def test_a_time_far_from_the_present_is_refused_on_every_topic(
    topic: str, timestamp: object, reason: str | None
) -> None:
    """S4: one dated year 9999, or 1970, was published and could not be stored."""
    message = LEAST[topic] | {"timestamp": timestamp}
    if reason is None:
        assert taken(topic, message).timestamp == timestamp
        return
    with pytest.raises(InvalidMessageError) as refused:
        taken(topic, message)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [(NOW - 2 * 86_400_000, None), (NOW - 2 * 86_400_000 - 1, "TIME_BEHIND"),
     (NOW + 5_001, "TIME_AHEAD")],
)  # fmt: skip
def test_backfill_by_hand_may_be_two_days_old(timestamp: int, reason: str | None) -> None:
    if reason is None:
        assert tick(timestamp=timestamp, backfill=True).backfill
        return
    with pytest.raises(InvalidMessageError) as refused:
        tick(timestamp=timestamp, backfill=True)
    assert refused.value.reason == reason


def test_everything_a_market_can_report() -> None:
    event = tick(
        kind="DEPTH",
        price=None,
        volume=None,
        side="sell",
        bids=[["1.5", 2]],
        asks=[[1.6, "3"]],
        bid=1.5,
        funding_rate=-0.0001,
        next_funding_time=1_700_000_000,
        backfill=True,
    )
    assert event.kind is MarketDataKind.DEPTH
    assert event.side is Side.SELL
    assert event.bids == ((Decimal("1.5"), Decimal(2)),)
    assert event.funding_rate == Decimal("-0.0001")
    assert event.next_funding_time == 1_700_000_000_000
    assert event.backfill


def test_a_trade_made_from_a_bar_may_say_so() -> None:
    assert tick(bar="OPEN").bar is BarPoint.OPEN
    assert tick(bar="inside").bar is BarPoint.INSIDE
    assert tick().bar is None


def test_two_messages_are_two_events_whatever_they_say() -> None:
    assert tick(trade_id=7).trade_id == "7"
    one = taken("market_data", TICK | {"trade_id": 7}, unique="1")
    two = taken("market_data", TICK | {"trade_id": 7}, unique="2")
    assert one.event_id != two.event_id, "the record takes an id once"
    first = taken("market_data", TICK, unique="1")
    second = taken("market_data", TICK, unique="2")
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"symbol": None}, "symbol is missing"),
        ({"symbol": "BTC"}, "symbol is 'BTC'"),
        ({"symbol": "BTC_USDT; DROP"}, "symbol is"),
        ({"symbol": ["BTC"]}, "a text is needed"),
        ({"price": None}, "price is missing"),
        ({"price": 0}, "more than 0"),
        ({"price": -1}, "more than 0"),
        ({"price": "NaN"}, "a number is needed"),
        ({"price": "Infinity"}, "a number is needed"),
        ({"price": "1e999"}, "a number is needed"),
        ({"price": "1" * 50}, "a number is needed"),
        ({"price": True}, "a number is needed"),
        ({"price": {}}, "a number is needed"),
        ({"volume": -1}, "at least 0"),
        ({"kind": "rumour"}, "which is none"),
        ({"side": "up"}, "BUY or SELL"),
        ({"timestamp": "yesterday"}, "no known time"),
        ({"timestamp": 10**18}, "neither seconds nor milliseconds"),
        ({"timestamp": -5}, "more than 0"),
        ({"bids": 5}, "list of"),
        ({"bids": [["a"]]}, "list of"),
        ({"backfill": "perhaps"}, "true or false"),
        ({"bar": "close"}, "bar is 'close', one of open, inside is needed"),
        ({"source": "a\0b"}, "a text is needed"),
    ],
)
def test_what_cannot_be_used_says_why(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidMessageError, match=said) as malformed:
        tick(**fields)
    assert malformed.value.reason == "MALFORMED"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"hello", "NOT_JSON"),
        (b"", "NOT_JSON"),
        (b"\xff\xfe", "NOT_JSON"),
        (b"[1]", "NOT_JSON"),
        (b'{"price": NaN}', "NOT_JSON"),
        (b"[" * 50_000, "TOO_DEEP"),
        (b'{"price":' + b"[" * 32 + b"]" * 32 + b"}", "TOO_DEEP"),
        (b'{"price":' + b"[" * 31 + b"]" * 31 + b"}", "MALFORMED"),
        (b" " * (MAX_BYTES + 1), "OVERSIZED"),
    ],
)
def test_what_is_no_message_at_all(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidMessageError) as malformed:
        taken("market_data", body)
    assert malformed.value.reason == reason


def test_nothing_is_taken_before_a_run() -> None:
    with pytest.raises(InvalidMessageError, match="before a run has started"):
        Intake("cdb_ws", "x").take("market_data", b"{}", run_id=None, now_ms=None)


@pytest.mark.parametrize("topic", sorted(set(TOPICS) - set(TAKES_FROM_OUTSIDE)))
def test_other_topics_take_nothing_and_somebody_answers_for_them(topic: str) -> None:
    with pytest.raises(InvalidMessageError) as malformed:
        taken(topic, {})
    assert malformed.value.reason == "NOT_FROM_OUTSIDE"
    assert topic in OWNERS


def test_a_signal_by_hand() -> None:
    event = taken(
        "signals",
        {"symbol": "ethusdt", "side": "sell", "price": 3000, "indicators": {"rsi": 31.5}},
    )
    assert isinstance(event, Signal)
    assert (event.symbol, event.direction, event.reduce_only) == ("ETH_USDT", Side.SELL, False)
    assert event.indicators == {"rsi": Decimal("31.5")}
    assert event.signal_id == event.correlation_id == event.event_id


def test_an_order_by_hand_is_never_approved() -> None:
    event = taken(
        "orders",
        {
            "order_id": "mine",
            "symbol": "BTC_USDT",
            "side": "buy",
            "quantity": 1,
            "approved_by": "cdb_risk",
            "origin": "signal",
            "risk_checks": {"1": "PASS"},
            "reduce_only": True,
        },
    )
    assert isinstance(event, Order)
    assert (event.order_id, event.side, event.reduce_only) == ("mine", Side.BUY, True)
    assert (event.approved_by, event.origin, event.risk_checks) == (None, Origin.EXTERNAL, {})


def test_an_alert_by_hand() -> None:
    event = taken("alerts", {"level": "warning", "message": "look", "context": {"n": 1}})
    assert isinstance(event, Alert)
    assert (event.level, event.code, event.context) == ("WARNING", "EXTERNAL", {"n": "1"})


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "halt", "reason": "lunch"}, Halt),
        ({"command": "RESET", "reason": "back"}, Reset),
        ({"type": "pause", "symbol": "btcusdt"}, Pause),
        ({"type": "resume"}, Resume),
    ],
)
def test_the_four_commands(message: dict[str, Any], kind: type[Event]) -> None:
    event = taken("operator", message)
    assert type(event) is kind
    assert event.producer == "cdb_risk"


@pytest.mark.parametrize(
    "message",
    [{"type": "halt"}, {"type": "reset"}, {"type": "run_started"}, {"type": "condition"}, {}],
)
def test_no_other_command_and_none_without_its_reason(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessageError):
        taken("operator", message)


@pytest.mark.parametrize("kind", ["halt", "reset", "pause", "resume"])
def test_nothing_is_taken_on_control(kind: str) -> None:
    """S8: there every service may publish, so that any of them could release a halt."""
    with pytest.raises(InvalidMessageError) as refused:
        normalise(
            "control", msgspec.json.encode({"type": kind, "reason": "x"}),
            run_id="run", now_ms=NOW, unique="1", producer="cdb_risk",
        )  # fmt: skip
    assert refused.value.reason == "NOT_FROM_OUTSIDE"
    assert OWNERS["control"] == "cdb_risk", "one service answers for it"


def test_a_command_keeps_who_gave_it() -> None:
    command = {"type": "halt", "reason": "x"}

    given, default = (
        taken("operator", command | {"issued_by": "console"}),
        taken("operator", command),
    )

    assert isinstance(given, Halt)
    assert isinstance(default, Halt)
    assert (given.issued_by, default.issued_by) == ("console", "operator")


def test_a_commands_event_is_that_of_its_command_id_alone() -> None:
    command = {"type": "halt", "reason": "x", "command_id": "mine"}
    one = taken("operator", command, unique="1")
    two = taken("operator", command | {"reason": "y"}, unique="2")
    assert isinstance(one, Halt)
    assert one.event_id == two.event_id
    assert one.command_id == "mine"
    without = [taken("operator", {"type": "halt", "reason": "x"}, unique=n) for n in "12"]
    assert len({event.event_id for event in without}) == 2


@pytest.mark.parametrize(
    ("topic", "field", "most"),
    [
        ("signals", "signal_id", 128), ("signals", "reason", 2_000), ("orders", "order_id", 128),
        ("operator", "command_id", 128), ("operator", "reason", 2_000),
        ("operator", "issued_by", 128),
        ("alerts", "message", 2_000), ("market_data", "source", 128),
        ("market_data", "trade_id", 128),
    ],
)  # fmt: skip
def test_a_text_is_as_long_as_a_database_and_a_person_can_take(
    topic: str, field: str, most: int
) -> None:
    taken(topic, LEAST[topic] | {field: "x" * most})
    with pytest.raises(InvalidMessageError, match=f"at most {most}"):
        taken(topic, LEAST[topic] | {field: "x" * (most + 1)})


def test_an_intake_gives_every_message_its_own_id() -> None:
    intake = Intake("cdb_ws", "epoch:1")
    body = msgspec.json.encode(TICK)
    ids = {intake.take("market_data", body, run_id="run", now_ms=None).event_id for _ in range(3)}
    assert len(ids) == 3
    assert intake.taken == 3


def test_what_two_services_take_first_are_two_events() -> None:
    # Given services that claimed their places alike: the same epoch, instance and counter
    halt = msgspec.json.encode({"type": "halt", "reason": "lunch"})
    signal = msgspec.json.encode({"symbol": "BTC_USDT", "direction": "buy", "price": 100})
    taken_by_risk = Intake("cdb_risk", "epoch:1").take("operator", halt, run_id="run", now_ms=NOW)
    taken_by_core = Intake("cdb_core", "epoch:1").take("signals", signal, run_id="run", now_ms=NOW)
    assert taken_by_risk.event_id != taken_by_core.event_id


def test_a_signal_by_hand_may_ask_for_an_order_with_its_own_price() -> None:
    message = {
        "symbol": "BTC_USDT", "direction": "buy", "price": 100, "order_type": "stop_limit",
        "limit_price": 99.5, "trigger_price": "99", "time_in_force": "ioc", "post_only": True,
    }  # fmt: skip
    event = taken("signals", message)

    assert isinstance(event, Signal)
    assert (event.order_type, event.time_in_force) == (OrderType.STOP_LIMIT, TimeInForce.IOC)
    assert [event.limit_price, event.trigger_price] == [Decimal("99.5"), 99]
    assert event.post_only


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"order_type": "iceberg"}, "order_type is 'ICEBERG', one of MARKET, LIMIT, STOP"),
        ({"time_in_force": "GTD"}, "time_in_force is 'GTD', one of GTC, IOC, FOK is needed"),
        ({"limit_price": -1}, "limit_price"),
    ],
)
def test_a_signal_whose_terms_mean_nothing_is_malformed(fields: dict[str, Any], said: str) -> None:
    message = {"symbol": "BTC_USDT", "direction": "buy", "price": 100, **fields}

    with pytest.raises(InvalidMessageError, match=said):
        taken("signals", message)
