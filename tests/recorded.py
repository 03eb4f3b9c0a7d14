"""A record without a database: what the stages make of a market, as the writer would keep it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from services.kernel.events import AnyEvent, Event, codec, topics
from services.kernel.pipeline import Pipeline
from services.persistence.chain import GENESIS, TICK_BATCH
from services.persistence.recorder import RecordCursor, Recorder
from services.record.reading import ChainLink, Span, split_position
from tests.unit.kernel.random_market import RandomMarket

BATCH = 50
_SEQ, _EVENT_ID, _TYPE, _BODY, _CHAIN_HASH = 0, 3, 4, 12, 13


def published(event: Event) -> bytes:
    """An event as the bus publishes it: what it was handed, and the place at the end."""
    handed = codec.encode(msgspec.structs.replace(event, seq=0, topic_seq=0))
    return handed[:-1] + f',"seq":{event.seq},"topic_seq":{event.topic_seq}}}'.encode()


class MemoryRecord:
    """Rows in their order; a test may change them as a thief would."""

    def __init__(self, rows: Iterable[ChainLink | bytes]) -> None:
        self.stored = list(rows)

    def whole(self) -> Span:
        return Span(0, max(_seq(row) for row in self.stored))

    def bodies(self, span: Span) -> Iterator[bytes]:
        for row in self.rows(span):
            if not isinstance(row, ChainLink):
                yield row
            elif row.kind != TICK_BATCH:
                yield row.body

    def links(self, span: Span) -> Iterator[ChainLink]:
        return (row for row in self.rows(span) if isinstance(row, ChainLink))

    def landmarks(self, span: Span) -> Iterator[ChainLink]:
        return self.links(span)

    def rows(self, span: Span) -> Iterator[ChainLink | bytes]:
        return (row for row in self.stored if span.after < _seq(row) <= span.upto)

    def chain_hash_at(self, seq: int) -> bytes:
        head = GENESIS
        for row in self.stored:
            if isinstance(row, ChainLink) and row.seq <= seq:
                head = row.chain_hash
        return head

    def close(self) -> None:
        pass

    def find(self, kind: str, number: int = 0) -> int:
        """Index of the n-th row of a kind."""
        found = [
            i
            for i, row in enumerate(self.stored)
            if isinstance(row, ChainLink) and row.kind == kind
        ]
        return found[number]

    def link(self, index: int) -> ChainLink:
        row = self.stored[index]
        assert isinstance(row, ChainLink)
        return row

    def change(self, index: int, old: bytes, new: bytes) -> ChainLink:
        """Change a row's text; everything else stays."""
        row = self.link(index)
        assert old in row.body, f"{old!r} is not in {row.body!r}"
        changed = row._replace(body=row.body.replace(old, new, 1))
        self.stored[index] = changed
        return changed


def record_of(
    events: Sequence[AnyEvent], text: Callable[[AnyEvent], bytes] = published
) -> MemoryRecord:
    """The rows that the writer makes of published events, in batches.

    Args:
        events: In total order, with their places.
        text: What was published of each.
    """
    recorder = Recorder(RecordCursor())
    rows: list[ChainLink | bytes] = []
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        bodies = [text(event) for event in batch]
        made = recorder.prepare(batch, bodies, upto=batch[-1].seq, epoch="epoch")
        recorder.accept(made)
        links = [_link(row) for row in made.event_rows]
        ticks = [
            body
            for event, body in zip(batch, bodies, strict=True)
            if event.TOPIC in (topics.MARKET_DATA, topics.CLOCK)
        ]
        # A tick batch has the seq of its last tick, and stands behind it.
        rows += sorted([*ticks, *links], key=lambda row: (_seq(row), isinstance(row, ChainLink)))
    return MemoryRecord(rows)


def lively_events(seed: int = 1, steps: int = 300) -> list[AnyEvent]:
    """The total order that a random market leads to: entries, exits, halts, alerts."""
    return list(Pipeline().run(RandomMarket(seed).events(steps)))  # type: ignore[arg-type]


def renumbered(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """The same events with dense places, as if they had been published like this."""
    counts: dict[str, int] = {}
    placed: list[AnyEvent] = []
    for seq, event in enumerate(events, start=1):
        counts[event.TOPIC] = counts.get(event.TOPIC, 0) + 1
        placed.append(msgspec.structs.replace(event, seq=seq, topic_seq=counts[event.TOPIC]))
    return placed


def _link(row: tuple[object, ...]) -> ChainLink:
    seq, event_id, kind = row[_SEQ], row[_EVENT_ID], row[_TYPE]
    body, chain_hash = row[_BODY], row[_CHAIN_HASH]
    assert isinstance(seq, int)
    assert isinstance(body, str)
    assert isinstance(chain_hash, bytes)
    return ChainLink(seq, str(event_id), str(kind), body.encode(), chain_hash)


def _seq(row: ChainLink | bytes) -> int:
    if isinstance(row, ChainLink):
        return row.seq
    return split_position(row)[1]
