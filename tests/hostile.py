"""Messages and frames at the edges of depth, size, time, number and text; the same for a seed."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from services.kernel.events import topics

CHANNELS = (*topics.TOPICS, topics.OPERATOR)
NUMBERS: tuple[Any, ...] = (
    0, -0.0, -1, 1e-30, 1e-24, 1e-12, 1e-9, 0.1, 1, 100, 60_000, 1e9, 1e12, 1e14, 1e15, 1e24, 1e40,
    1e308, "1e999", "1e-999", "NaN", "sNaN", "-Infinity", "9" * 40, "9" * 5_000, "0." + "1" * 60,
    10**30, -(10**30), True, None, "", " 1 ", "1_000", "0x10", "\u0661", [], {},
    "1" * 29 + ".1",
)  # fmt: skip
TEXTS: tuple[Any, ...] = (
    "", " ", "x", "BTC_USDT", "btcusdt", "BTC/USDT", "A" * 128, "A" * 129, "A" * 3_000 + "_USDT",
    "\0", "a\0b", "\x1b[31mred", "\x1b]0;title\x07", "\u202e", "\U0001f600", "\ud7ff\ue000",
    "\n\r\t",
    "'; DROP TABLE events; --", "\\", '"', "{", "%s%n", "\x7f", 7, 10**30, 1.5, True, None, [], {},
    "\x1f", "BUY", "sell", "MARKET", "stop_limit", "NULL", "\\u0000",
)  # fmt: skip
FIELDS: dict[str, tuple[str, ...]] = {
    "number": (
        "price", "volume", "bid", "ask", "bid_size", "ask_size", "mark_price", "index_price",
        "funding_rate", "pct_change", "quantity", "strength", "limit_price", "trigger_price",
        "stop_loss_price", "leverage",
    ),
    "text": (
        "symbol", "kind", "source", "trade_id", "side", "direction", "signal_id", "order_id",
        "reason", "strategy_id", "order_type", "time_in_force", "type", "command", "command_id",
        "level", "code", "message", "event_id", "producer", "run_id",
    ),
    "time": ("timestamp", "next_funding_time"),
    "flag": ("reduce_only", "backfill", "post_only", "external"),
}  # fmt: skip
SOUND: dict[str, dict[str, Any]] = {
    topics.MARKET_DATA: {"symbol": "BTC_USDT", "price": "60000", "volume": "1"},
    topics.SIGNALS: {"symbol": "BTC_USDT", "direction": "BUY", "price": "60000"},
    topics.ORDERS: {"symbol": "BTC_USDT", "side": "BUY", "quantity": "0.1"},
    topics.ALERTS: {"message": "look", "level": "INFO"},
    topics.OPERATOR: {"type": "resume", "reason": "fuzz"},
}


def times(now_ms: int) -> tuple[Any, ...]:
    """Times at the edges of what an intake accepts, and far beyond them."""
    return (
        0, 1, -1, now_ms, now_ms / 1000, now_ms + 4_900, now_ms + 5_100, now_ms - 59_000,
        now_ms - 61_000, now_ms - 172_000_000, now_ms - 173_000_000, 253_402_300_799_000, 10**18,
        10**30, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1970-01-01", "tomorrow",
        "9999-12-31T23:59:59-14:00", None, True, [], "", "1e13", "NaN",
    )  # fmt: skip


def deep(levels: int, random: Random) -> Any:
    """A value nested so deeply."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def messages(seed: int, count: int, now_ms: int) -> Iterator[tuple[str, bytes]]:
    """Channel and body of each message."""
    random = Random(seed)  # noqa: S311 - test data
    for _ in range(count):
        channel = random.choice(CHANNELS)
        yield channel, _body(random, channel, now_ms)


def _body(random: Random, channel: str, now_ms: int) -> bytes:
    roll = random.random()
    if roll < 0.08:
        return _no_json(random)
    body = dict(SOUND.get(channel, random.choice(list(SOUND.values()))))
    if channel == topics.MARKET_DATA and roll < 0.4:
        body["kind"] = random.choice(("trade", "quote", "depth", "mark", "funding"))
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        _spoil(random, body, now_ms)
    if roll > 0.9:  # as if the bus had published it
        body |= {"seq": random.choice((1, 10**6, 10**18, 10**30, -5)), "topic_seq": 1}
    text = json.dumps(body, ensure_ascii=random.random() < 0.5)
    raw = text.encode("utf-8", "surrogatepass")
    if random.random() < 0.03:
        place = random.randrange(len(raw))
        raw = raw[:place] + bytes([random.randrange(256)]) + raw[place + 1 :]
    return raw


def _spoil(random: Random, body: dict[str, Any], now_ms: int) -> None:
    kind = random.choice(("number", "number", "text", "text", "time", "flag", "deep", "levels"))
    if kind == "deep":
        name = random.choice(("indicators", "context", "bids", "x", "price", "symbol"))
        body[name] = deep(random.choice((1, 5, 30, 31, 32, 33, 200, 300)), random)
    elif kind == "levels":
        body[random.choice(("bids", "asks"))] = [
            [random.choice(NUMBERS), random.choice(NUMBERS)] for _ in range(random.randrange(4))
        ]
    else:
        values = {"number": NUMBERS, "text": TEXTS, "time": times(now_ms)}.get(kind, TEXTS[-20:])
        body[random.choice(FIELDS[kind])] = random.choice(values)


def _no_json(random: Random) -> bytes:
    return random.choice((
        b"", b" ", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 1_100 + b"]" * 1_100, b"[" * 60_000,
        b'{"a":' * 1_100 + b"1" + b"}" * 1_100, b" " * 65_536, b" " * 70_000, b'"' * 30_000,
        b'"\\' * 30_000, b'{"seq":' + b"9" * 5_000 + b"}", b'{"seq":1,"topic_seq":1}', b"NaN",
        b'{"price":1e999999999999}', random.randbytes(64),
    ))  # fmt: skip


def frames(seed: int, count: int, now_ms: int) -> Iterator[str | bytes]:
    """Frames of the venue, most of them spoiled."""
    random = Random(seed)  # noqa: S311 - test data
    for _ in range(count):
        yield _frame(random, now_ms)


def _frame(random: Random, now_ms: int) -> str | bytes:
    if random.random() < 0.1:
        return _no_json(random)
    data: dict[str, Any] = random.choice((
        {"p": 10, "v": 1, "T": 1, "t": now_ms, "i": str(random.randrange(10**9))},
        {"asks": [[11, 1, 1]], "bids": [[9, 1, 1]], "version": random.randrange(10**6)},
        {"price": 10}, {"rate": 0.0001, "nextSettleTime": now_ms + 10_000},
        {"symbol": "BTC_USDT", "lastPrice": 10, "fairPrice": 10},
    ))  # fmt: skip
    channel = random.choice(
        ("deal", "depth.full", "fair.price", "index.price", "funding.rate", "ticker", "contract",
         "x")
    )  # fmt: skip
    for _ in range(random.choice((0, 1, 2))):
        name = random.choice((*data, "x"))
        data[name] = random.choice(
            (random.choice(NUMBERS), random.choice(TEXTS), random.choice(times(now_ms)),
             deep(random.choice((2, 33, 300)), random))
        )  # fmt: skip
    frame: dict[str, Any] = {
        "channel": f"push.{channel}", "symbol": "BTC_USDT", "ts": now_ms,
        "data": [data] if channel == "deal" and random.random() < 0.7 else data,
    }  # fmt: skip
    if random.random() < 0.2:
        frame[random.choice(tuple(frame))] = random.choice((*TEXTS, *NUMBERS, *times(now_ms)))
    return json.dumps(frame)
