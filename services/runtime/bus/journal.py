"""The journal: what every producer has published, read back as the one total order."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from services.kernel.events import AnyEvent, RunStarted, codec, topics
from services.runtime.bus.bus import Bus

PAGE = 1000
HIGHEST_SEQ = 1 << 53
"""No seq is higher: the script that gives them out counts in doubles."""
_RUN_STARTED = str(RunStarted.__struct_config__.tag).encode()


class JournalTrimmed(Exception):
    """The journal no longer holds what was asked for; older events are in PostgreSQL."""

    def __init__(self, after: int, first: int) -> None:
        super().__init__(
            f"the journal was asked for what comes after seq {after}, and begins at {first};"
            " older events are in PostgreSQL"
        )
        self.after = after
        self.first = first


class Foreign(ValueError):
    """A journal entry that is not an event of that producer at that place."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of one producer's journal; ``body`` is the exact JSON that was published."""

    seq: int
    producer: str
    body: bytes


def read(bus: Bus, of_topics: Collection[str], after: int, upto: int) -> Iterator[AnyEvent]:
    """Events of some topics, in their total order.

    What does not parse, or is no event of its journal's owner, is passed over.

    Args:
        bus: Where to read; needs no claim.
        of_topics: Topics to read.
        after: Seq before the first one read.
        upto: Last seq read.

    Raises:
        JournalTrimmed: The journal begins after ``after + 1``.
        Unavailable: The bus is away.
    """
    for entry in read_entries(bus, of_topics, after, upto):
        try:
            event = open_entry(entry)
        except (Foreign, msgspec.DecodeError):
            continue
        if event.TOPIC in of_topics:
            yield event


def read_entries(bus: Bus, of_topics: Collection[str], after: int, upto: int) -> Iterator[Entry]:
    """Entries of all journals that may hold some topics, merged by seq; other topics included.

    Raises:
        JournalTrimmed: The journal begins after ``after + 1``.
    """
    while after < upto:
        entries, after = read_page(bus, of_topics, after, upto)
        yield from entries


def read_page(
    bus: Bus, of_topics: Collection[str], after: int, upto: int
) -> tuple[list[Entry], int]:
    """The next entries, and the seq up to which they are complete.

    Raises:
        JournalTrimmed: The journal begins after ``after + 1``.
    """
    producers = producers_of(of_topics)
    commands = [
        ("XRANGE", _key(name), f"{after + 1}-0", f"{upto}-0", "COUNT", PAGE) for name in producers
    ]
    pages = bus.run(*commands)
    # Asked after reading: what was trimmed in between would be missing without a trace.
    if (trimmed := bus.heads().trimmed) > after + 1:
        raise JournalTrimmed(after, trimmed)
    entries: list[Entry] = []
    complete = upto
    for name, page in zip(producers, pages, strict=True):
        for entry_id, fields in page:
            entries.append(Entry(int(entry_id.split(b"-", 1)[0]), name, fields[1]))
        if len(page) == PAGE:
            # Beyond the end of a page that was cut, this producer may have more.
            complete = min(complete, entries[-1].seq)
    entries = [entry for entry in entries if entry.seq <= complete]
    entries.sort(key=lambda entry: entry.seq)
    return entries, complete


def open_entry(entry: Entry) -> AnyEvent:
    """The event of an entry.

    Raises:
        msgspec.DecodeError: It does not parse.
        Foreign: It claims another producer, place, or a topic that is not its producer's.
    """
    event = codec.decode(entry.body)
    if event.producer != entry.producer or event.seq != entry.seq:
        raise Foreign(
            f"entry {entry.seq} of {entry.producer}'s journal says it is {event.seq} of"
            f" {event.producer}"
        )
    if event.TOPIC not in topics.PRODUCES[entry.producer]:
        raise Foreign(f"entry {entry.seq}: {entry.producer} does not produce {event.TOPIC}")
    return event


def holds(bus: Bus, producer: str, seq: int, body: bytes) -> bool:
    """Whether a producer's journal holds exactly that body at that place."""
    return holds_all(bus, [Entry(seq, producer, body)])


def holds_all(bus: Bus, entries: Collection[Entry]) -> bool:
    """Whether the journals hold exactly those entries, asked in one round trip."""
    if any(
        entry.producer not in topics.SERVICES or not 0 < entry.seq <= HIGHEST_SEQ
        for entry in entries
    ):
        return False
    commands = [
        ("XRANGE", _key(entry.producer), f"{entry.seq}-0", f"{entry.seq}-0") for entry in entries
    ]
    replies = bus.run(*commands) if commands else []
    return all(
        bool(reply) and reply[0][1][1] == entry.body
        for entry, reply in zip(entries, replies, strict=True)
    )


def record_commit(bus: Bus, seq: int) -> None:
    """Say from which seq on the source (``cdb_ws``) still needs the journal."""
    bus.run(("HSET", f"cdb:cursor:{bus.service}", "commit", seq))


def trim(bus: Bus) -> int:
    """Trim this service's journal behind everybody who may still need it.

    That is: the writer's cursor, the snapshots of the stages and of the source, and the seq that
    the source looks back to. As long as a cursor or a snapshot is missing, nothing is trimmed: a
    service that starts late must still receive the beginning of the run. The orchestrator's
    snapshot does not count: it catches up from PostgreSQL.

    Returns:
        The lowest seq that was kept; 0 when nothing may be trimmed yet.
    """
    commands = [("HGET", f"cdb:cursor:{topics.DB_WRITER}", "seq")]
    readers = (*topics.STAGE_ORDER, topics.WS)
    commands += [("HGET", f"cdb:snapshot:{name}", "cursor") for name in readers]
    *replies, commit = bus.run(*commands, ("HGET", f"cdb:cursor:{topics.WS}", "commit"))
    needed = [int(seq) if seq and seq.isdigit() else 0 for seq in replies]
    if commit is not None:
        needed.append(int(commit))
    keep_after = min(needed)
    if keep_after == 0:
        return 0
    bus.run(("FCALL", "cdb_trim", 0, bus.service, keep_after + 1))
    return keep_after + 1


def run_start(bus: Bus, trimmed: int) -> int | None:
    """Seq from which on the journals hold the whole run, so that every stage can begin there.

    Args:
        bus: Where to read.
        trimmed: The journals hold everything from this seq on.

    Returns:
        That of the last ``run_started``, 1 where nothing was trimmed, None where it was.
    """
    if trimmed <= 1:
        return 1
    upto = "+"
    while True:
        page = bus.run(
            ("XREVRANGE", _key(topics.PAPER_RUNNER), upto, f"{trimmed}-0", "COUNT", PAGE)
        )[0]
        for entry_id, fields in page:
            if _RUN_STARTED in fields[1]:
                entry = Entry(int(entry_id.split(b"-", 1)[0]), topics.PAPER_RUNNER, fields[1])
                with contextlib.suppress(Foreign, msgspec.DecodeError):
                    if isinstance(open_entry(entry), RunStarted):
                        return entry.seq
        if len(page) < PAGE:
            return None
        upto = f"({page[-1][0].decode()}"


def producers_of(of_topics: Collection[str]) -> list[str]:
    """The services whose journals may hold events of some topics."""
    return [name for name in topics.SERVICES if topics.PRODUCES[name].intersection(of_topics)]


def _key(producer: str) -> str:
    return f"cdb:journal:{producer}"
