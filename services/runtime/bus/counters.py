"""Putting the bus's counters right: every service may write them, so the journals decide.

Publishing and reading refuse counters that the journal of the last producer contradicts. Nothing
is lost by that: each seq is in a journal that only its producer may write. From there, and from
the record for what was trimmed, the counters are computed again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.kernel.events import codec, topics
from services.runtime.bus.bus import server_life
from services.runtime.bus.journal import PAGE
from services.runtime.bus.redis.connection import Connection, pack
from services.runtime.bus.redis.names import COUNTERS_KEY, EPOCH_KEY, VERIFIED_KEY

FARTHEST: Final = 20_000_000
"""Seqs that the order may be ahead of the record: far more than the memory holds."""
MOST_READ: Final = 5_000
"""Events behind the record that are read to check the numbers of the topics."""
_MOST_DAMAGED: Final = 1_000
_DIGITS: Final = 18
_END: Final = re.compile(rb',"seq":(\d+),"topic_seq":\d+\}$')


@dataclass(frozen=True, slots=True)
class Recorded:
    """How far the record has come, and each topic in it."""

    seq: int
    topic_seqs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The counters at one moment, and the ends of the journals."""

    counters: dict[str, str]
    newest: dict[str, int]

    @property
    def head(self) -> int:
        """The last seq that was given out."""
        return max(self.newest.values())

    @property
    def producer(self) -> str:
        """Who published it."""
        return max(self.newest, key=lambda name: self.newest[name])

    def number(self, name: str) -> int | None:
        """A counter of a topic; None if it is no number, or lies beyond the last seq."""
        text = self.counters.get(name, "0")
        is_number = len(text) <= _DIGITS and text.isdecimal()
        return int(text) if is_number and int(text) <= self.head else None


def journal_head(redis: Connection, recorded_seq: int) -> int:
    """The last seq in any journal; the counters are not asked."""
    return max(_newest(redis, name, recorded_seq + FARTHEST) for name in topics.SERVICES)


def heal(redis: Connection, recorded: Recorded) -> dict[str, tuple[str, str]]:
    """Put right what the journals contradict; a bus that is not open is left alone.

    Args:
        redis: As user ``recovery``.
        recorded: The record; what it has was checked when it was read.

    Returns:
        Name to wrong and right value (empty: none) of what was put right.

    Raises:
        Unavailable: The server is away.
    """
    seen = _look(redis, recorded.seq + FARTHEST)
    if seen is None or seen.head < recorded.seq:
        return {}
    right = _right(redis, seen, recorded)
    wrong = {
        name: (seen.counters.get(name, ""), right.get(name, ""))
        for name in sorted(seen.counters.keys() | right.keys())
        if seen.counters.get(name, "0") != right.get(name, "0")
    }
    if wrong:
        arguments = [part for name, (was, now) in wrong.items() for part in (name, was, now)]
        redis.call("FCALL", "cdb_heal", 0, *arguments)
    return wrong


def _look(redis: Connection, farthest: int) -> _Seen | None:
    names = topics.SERVICES
    commands = [pack("MULTI"), pack("INFO", "server"), pack("MGET", EPOCH_KEY, VERIFIED_KEY)]
    commands += [pack("HGETALL", COUNTERS_KEY)]
    commands += [pack("XREVRANGE", _key(name), "+", "-", "COUNT", 1) for name in names]
    info, (epoch, verified), flat, *ends = redis.pipeline([*commands, pack("EXEC")])[-1]
    if epoch is None or verified != server_life(info):
        return None
    newest = {}
    for name, page in zip(names, ends, strict=True):
        is_known = not page or _is_valid(page[0], farthest)
        newest[name] = _seq(page) if is_known else _newest(redis, name, farthest)
    texts = (part.decode(errors="replace") for part in flat)
    return _Seen(dict(zip(texts, texts, strict=True)), newest)


def _right(redis: Connection, seen: _Seen, recorded: Recorded) -> dict[str, str]:
    """The counters as they should be."""
    if seen.head == 0:
        return {}
    right = {"seq": str(seen.head), "producer": seen.producer}
    numbers, heads = _topics(redis, seen, recorded)
    for topic in topics.TOPICS:
        if numbers[topic]:
            right[f"topic_seq:{topic}"] = str(numbers[topic])
            right[f"topic_head:{topic}"] = str(heads[topic])
    return right


def _topics(
    redis: Connection, seen: _Seen, recorded: Recorded
) -> tuple[dict[str, int], dict[str, int]]:
    """Each topic's last number and seq: from the record, and from the journals behind it."""
    numbers = {topic: seen.number(f"topic_seq:{topic}") for topic in topics.TOPICS}
    heads = {topic: seen.number(f"topic_head:{topic}") for topic in topics.TOPICS}
    exact = seen.head - recorded.seq <= MOST_READ
    if not exact and None not in (*numbers.values(), *heads.values()):
        return {t: n or 0 for t, n in numbers.items()}, {t: n or 0 for t, n in heads.items()}
    right = {t: recorded.topic_seqs.get(t, 0) for t in topics.TOPICS}
    if recorded.seq == 0:  # a new record on an older bus: what was trimmed is nowhere else
        right = {t: number or 0 for t, number in numbers.items()}
    ends = {t: min(heads[t] or recorded.seq, recorded.seq) for t in topics.TOPICS}
    found: dict[str, int] = {}
    for seq, body in _entries(redis, recorded.seq, seen.head):
        try:
            event = codec.decode(body)
        except msgspec.DecodeError:
            continue  # its readers pass over it too
        if event.seq == seq and seq > found.get(event.TOPIC, 0):
            found[event.TOPIC] = ends[event.TOPIC] = seq
            right[event.TOPIC] = event.topic_seq
    return right, ends


def _entries(redis: Connection, after: int, upto: int) -> Iterator[tuple[int, bytes]]:
    for name in topics.SERVICES:
        at = after
        while True:
            start, end = f"{at + 1}-0", f"{upto}-0"
            page: list[Any] = redis.call("XRANGE", _key(name), start, end, "COUNT", PAGE)
            for entry in page:
                yield _seq([entry]), entry[1][1]
            if len(page) < PAGE:
                break
            at = _seq(page[-1:])


def _newest(redis: Connection, name: str, farthest: int) -> int:
    """The last seq in a journal that publishing may have written there."""
    end = "+"
    for _ in range(_MOST_DAMAGED):
        page = redis.call("XREVRANGE", _key(name), end, "-", "COUNT", 1)
        if not page or _is_valid(page[0], farthest):
            return _seq(page)
        end = f"({page[0][0].decode()}"
    return 0


def _is_valid(entry: Any, farthest: int) -> bool:
    """Whether an entry ends as publishing ends each event, at its own place."""
    end = _END.search(entry[1][-1])
    return end is not None and int(end[1]) == _seq([entry]) <= farthest


def _seq(page: list[Any]) -> int:
    return int(page[0][0].split(b"-", 1)[0]) if page else 0


def _key(name: str) -> str:
    return f"cdb:journal:{name}"
