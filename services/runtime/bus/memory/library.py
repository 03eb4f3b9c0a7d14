"""The functions of ``redis/library.lua`` in Python: the same checks in the same order.

One contract suite runs against both. Where they differ, this one is wrong.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from services.kernel.events import topics
from services.runtime.bus.memory.streams import Stream

Args = list[bytes]
Function = Callable[["Data", Args], Any]

SHARED: Final = frozenset({b"alerts", b"control"})
FIRST_EVENT: Final = 8
_COUNTERS: Final = b"cdb:counters"


class Data(Protocol):
    """What a function may do: the server's keys with the rights of its caller."""

    def get(self, key: bytes) -> bytes | None:
        """A text; None where there is none."""
        ...

    def set(self, key: bytes, value: bytes) -> None:
        """Keep a text."""
        ...

    def hash(self, key: bytes) -> dict[bytes, bytes]:
        """A hash, made when it is first used."""
        ...

    def stream(self, key: bytes) -> Stream:
        """A stream, made when it is first used."""
        ...

    def publish(self, channel: bytes, body: bytes) -> int:
        """Hand a message to everybody who listens."""
        ...

    def may_publish(self, topic: bytes) -> bool:
        """Whether the caller may publish on a topic."""
        ...

    def may_write(self, service: bytes) -> bool:
        """Whether the caller may write a service's journal."""
        ...

    def may_start_run(self) -> bool:
        """Whether the caller may switch lock-step on or off."""
        ...


def _integer(text: bytes | None) -> int | None:
    try:
        return int(text or b"0")
    except ValueError:
        return None


def _newest_of(data: Data, service: bytes) -> int:
    stream = data.stream(b"cdb:journal:" + service)
    return stream.ids[-1][0] if stream.ids else 0


def _shown(value: bytes | None) -> bytes:
    return b"false" if value is None else value


def _checked_head(data: Data) -> tuple[int, list[bytes] | None]:
    counters = data.hash(_COUNTERS)
    seq, producer = counters.get(b"seq"), counters.get(b"producer")
    head = _integer(seq)
    newest = _newest_of(data, producer) if producer else 0
    if head is None or newest != head:
        detail = b"the counters are at %s, the journal of %s at %d"
        return 0, [b"COUNTERS", detail % (_shown(seq), _shown(producer), newest)]
    return head, None


def claim(data: Data, args: Args) -> Any:
    """Take a service's place."""
    cursor = data.hash(b"cdb:cursor:" + args[0])
    instance = int(cursor.get(b"instance", b"0")) + 1
    cursor[b"instance"] = b"%d" % instance
    cursor.pop(b"ticket", None)
    seq, position, shell_id = (cursor.get(name) for name in (b"seq", b"position", b"shell_id"))
    return [b"OK", b"%d" % instance, data.get(b"cdb:epoch"), seq or b"0", position, shell_id]


def heads(data: Data, _args: Args) -> Any:
    """How far the total order has come."""
    head, refusal = _checked_head(data)
    if refusal:
        return refusal
    trimmed = 0
    for name in topics.SERVICES:
        its = data.hash(f"cdb:cursor:{name}".encode()).get(b"trimmed")
        trimmed = max(trimmed, _integer(its) or 0)
    return [
        *(b"OK", data.get(b"cdb:epoch"), data.get(b"cdb:lockstep")),
        [part for pair in data.hash(_COUNTERS).items() for part in pair],
        [part for pair in data.hash(b"cdb:left_out").items() for part in pair],
        b"%d" % min(trimmed, head + 1),
    ]


def publish(data: Data, args: Args) -> Any:
    """Publish a batch, or acknowledge an input, or both."""
    service, lockstep = args[0], args[FIRST_EVENT - 1]
    cursor = int(args[4]) if args[4] else None
    given = list(dict.fromkeys(args[FIRST_EVENT::2]))
    count = (len(args) - FIRST_EVENT) // 2
    mine, head = data.hash(b"cdb:cursor:" + service), 0
    answer = _fenced(data, mine, args)
    if answer is None:
        head, answer = _checked_head(data)
    answer = (
        answer
        or _contradiction(data, service, head, given, count)
        or _repeated(mine, head, args)
        or _stale(mine, head, cursor)
        or _no_right(data, service, given, lockstep)
        or _early(data, service, cursor, count)
    )
    if answer is not None:
        return answer
    _note(mine, args, cursor)
    if lockstep:
        data.set(b"cdb:lockstep", lockstep)
    if count:
        _append(data, service, head, args)
    return [b"OK", mine[b"first"], mine[b"last"], b"%d" % (head + count)]


def _fenced(data: Data, mine: dict[bytes, bytes], args: Args) -> list[bytes] | None:
    _, epoch, instance = args[:3]
    known = data.get(b"cdb:epoch")
    if known != epoch:
        return [b"EPOCH", b"the bus is at epoch %s, not %s" % (_shown(known), epoch)]
    if mine.get(b"instance") != instance:
        detail = b"instance %s took over from %s"
        return [b"FENCED", detail % (_shown(mine.get(b"instance")), instance)]
    return None


def _repeated(mine: dict[bytes, bytes], head: int, args: Args) -> list[bytes] | None:
    ticket, shell_id, last = args[3], args[6], mine.get(b"ticket")
    if last == ticket:
        return [b"OK", mine[b"first"], mine[b"last"], b"%d" % head]
    if last is not None and int(last) > int(ticket):
        return [b"FENCED", b"publication %s comes after %s" % (ticket, last)]
    if int(ticket) != int(last or b"0") + 1:
        detail = b"publication %s follows %s: Redis lost some"
        return [b"LOST", detail % (ticket, _shown(last))]
    if shell_id and mine.get(b"shell_id") == shell_id:
        mine.update({b"ticket": ticket, b"first": b"0", b"last": b"0"})
        return [b"OK", b"0", b"0", b"%d" % head]
    return None


def _note(mine: dict[bytes, bytes], args: Args, cursor: int | None) -> None:
    note = {b"ticket": args[3], b"epoch": args[1], b"first": b"0", b"last": b"0"}
    if cursor is not None:
        note[b"seq"] = b"%d" % cursor
    if args[5]:
        note[b"position"] = args[5]
    if args[6]:
        note[b"shell_id"] = args[6]
    mine.update(note)


def _contradiction(
    data: Data, service: bytes, head: int, given: Args, count: int
) -> list[bytes] | None:
    counters, mine = data.hash(_COUNTERS), data.hash(b"cdb:cursor:" + service)
    done = int(mine.get(b"seq", b"0"))
    own = count > 0 and counters.get(b"producer") != service
    newest = _newest_of(data, service) if own else 0
    if newest > head or done > head:
        detail = b"the counters are at %d, %s was at %d"
        return [b"COUNTERS", detail % (head, service, max(newest, done))]
    for topic in given:
        name = b"topic_seq:" + topic
        number, last = _integer(counters.get(name)), int(mine.get(name, b"0"))
        ahead = number is not None and 0 < last < number and topic not in SHARED
        if number is None or number > head or number < last or ahead:
            detail = b"the counters are at number %s of %s, %s was at %d"
            shown = _shown(counters.get(name))
            return [b"COUNTERS", detail % (shown, topic, service, last)]
    return None


def _stale(mine: dict[bytes, bytes], head: int, cursor: int | None) -> list[bytes] | None:
    if cursor is None:
        return None
    done = int(mine.get(b"seq", b"0"))
    if cursor <= done:
        return [b"STALE_CURSOR", b"cursor %d is not after %d" % (cursor, done)]
    if cursor > head:
        return [b"FUTURE_CURSOR", b"cursor %d is after the head %d" % (cursor, head)]
    return None


def _no_right(data: Data, service: bytes, given: Args, lockstep: bytes) -> list[bytes] | None:
    for topic in given:
        if not data.may_publish(topic):
            return [b"TOPIC", b"%s must not publish on %s" % (service, topic)]
    if given and not data.may_write(service):
        return [b"TOPIC", b"this user must not write the journal of " + service]
    if lockstep and not data.may_start_run():
        return [b"TOPIC", service + b" must not start a run"]
    return None


def _early(data: Data, service: bytes, cursor: int | None, count: int) -> list[bytes] | None:
    name = service.decode()
    if data.get(b"cdb:lockstep") != b"1" or not cursor or not count:
        return None
    if name not in topics.STAGE_ORDER:
        return None
    rank = topics.STAGE_ORDER.index(name)
    for place, other in enumerate(topics.STAGE_ORDER):
        if place == rank:
            continue
        reached = int(data.hash(f"cdb:cursor:{other}".encode()).get(b"seq", b"0"))
        needed = cursor if place < rank else cursor - 1
        if reached < needed:
            return [b"TURN", b"%s is at %d, not at %d" % (other.encode(), reached, needed)]
    return None


def _append(data: Data, service: bytes, head: int, args: Args) -> None:
    counters, mine = data.hash(_COUNTERS), data.hash(b"cdb:cursor:" + service)
    journal = data.stream(b"cdb:journal:" + service)
    seq = head
    mine[b"first"] = b"%d" % (head + 1)
    for topic, text in zip(args[FIRST_EVENT::2], args[FIRST_EVENT + 1 :: 2], strict=True):
        seq += 1
        number = int(counters.get(b"topic_seq:" + topic, b"0")) + 1
        counters[b"topic_seq:" + topic] = mine[b"topic_seq:" + topic] = b"%d" % number
        counters[b"topic_head:" + topic] = b"%d" % seq
        body = b'%s,"seq":%d,"topic_seq":%d}' % (text, seq, number)
        journal.add((seq, 0), [b"e", body])
        data.publish(topic, body)
    counters[b"seq"] = mine[b"last"] = b"%d" % seq
    counters[b"producer"] = service


def snapshot(data: Data, args: Args) -> Any:
    """Save a snapshot, unless another instance took over or a newer one is there."""
    service, epoch, instance, cursor = args[:4]
    if data.get(b"cdb:epoch") != epoch:
        return [b"EPOCH", b"the bus is no longer at epoch " + epoch]
    if data.hash(b"cdb:cursor:" + service).get(b"instance") != instance:
        return [b"FENCED", b"another instance took over from " + instance]
    saved = data.hash(b"cdb:snapshot:" + service)
    if saved.get(b"epoch") == epoch and int(saved[b"cursor"]) > int(cursor):
        return [b"STALE_CURSOR", b"a snapshot at %s is there already" % saved[b"cursor"]]
    saved.update(zip(args[4::2], args[5::2], strict=True))
    return [b"OK"]


def trim(data: Data, args: Args) -> Any:
    """Trim one's own journal behind a seq; the newest entry stays."""
    service, wanted = args[0], int(args[1])
    cursor = data.hash(b"cdb:cursor:" + service)
    if int(cursor.get(b"trimmed", b"0")) < wanted:
        cursor[b"trimmed"] = args[1]
        lowest = min(wanted, _newest_of(data, service))
        data.stream(b"cdb:journal:" + service).trim(lowest)
    return [b"OK"]


def heal(data: Data, args: Args) -> Any:
    """Put counters right, each only if it still is what was seen."""
    counters, changed = data.hash(_COUNTERS), 0
    for name, seen, right in zip(args[::3], args[1::3], args[2::3], strict=True):
        if counters.get(name, b"") == seen:
            changed += 1
            if right:
                counters[name] = right
            else:
                counters.pop(name, None)
    return changed


EVEN_FULL: Final[dict[bytes, Function]] = {
    b"cdb_publish": publish,
    b"cdb_claim": claim,
    b"cdb_snapshot": snapshot,
    b"cdb_trim": trim,
    b"cdb_heal": heal,
    b"cdb_heads": heads,
}
UNLESS_FULL: Final[dict[bytes, Function]] = {b"cdb_publish_ticks": publish}
