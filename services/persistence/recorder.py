"""From events to one transaction: rows, chain and cursor, all computed before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from services.kernel.events import AnyEvent, Clock, MarketData, topics
from services.persistence import chain
from services.persistence.projector import Projections, Projector
from services.persistence.tables import Row, clean, time_of, type_of
from services.persistence.tick_lines import MS_PER_DAY, tick_line, year_is_storable

_encode = msgspec.json.Encoder(decimal_format="string").encode


class UnstorableError(ValueError):
    """An event that no table can hold; the message names the value."""


class Keep(Enum):
    """How much of an event is written; less only where the database refused more."""

    ALL = "all"
    RECORD = "record"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class RecordCursor:
    """How far the record has come, as it stands in ``db_writer_cursor``.

    Attributes:
        seq: Last seq written down.
        epoch: Of the total order; None before the first.
        chain_hash: Head of the hash chain.
        topic_seqs: Last ``topic_seq`` of every topic.
        state: The projector's, after ``seq``.
    """

    seq: int = 0
    epoch: str | None = None
    chain_hash: bytes = chain.GENESIS
    topic_seqs: dict[str, int] = field(default_factory=dict)
    state: bytes = b""


@dataclass(slots=True)
class Transaction:
    """What is to be written, or not at all.

    Attributes:
        before: Where the record must stand for this to apply.
        after: Where it stands then.
        tick_lines: COPY text for ``market_data``.
        days: Days since 1970-01-01 that these lines need partitions for.
        event_rows: Rows of ``events``, by seq, tick batch included.
        projections: Rows of all other tables.
        ticks: How many ``tick_lines``.
    """

    before: RecordCursor
    after: RecordCursor
    tick_lines: str
    days: frozenset[int]
    event_rows: list[Row]
    projections: Projections
    ticks: int


class Recorder:
    """Turns batches of events into transactions.

    Args:
        cursor: Where the record stands.
    """

    def __init__(self, cursor: RecordCursor) -> None:
        self.projector = Projector()
        self.cursor = cursor
        self.go_back()

    def go_back(self) -> None:
        """Forget what was prepared since the last ``accept``."""
        self.projector.restore(self.cursor.state)

    def accept(self, transaction: Transaction) -> None:
        """The transaction is in the database: go on from there."""
        self.cursor = transaction.after

    def prepare(
        self,
        events: Sequence[AnyEvent],
        bodies: Sequence[bytes],
        *,
        upto: int,
        epoch: str | None,
        keep: Keep = Keep.ALL,
    ) -> Transaction:
        """The transaction that writes some events.

        Args:
            events: All events after the cursor up to ``upto``, by seq.
            bodies: The exact text of each.
            upto: Where the record stands afterwards.
            epoch: Of the total order.
            keep: How much of them is written. The fold takes them in any case.

        Raises:
            UnstorableError: One of them cannot be written as it is.
        """
        batch = _Batch()
        for event, body in zip(events, bodies, strict=True):
            try:
                self._take(batch, event, body, keep)
            except (ValueError, OverflowError, OSError) as error:
                raise UnstorableError(f"event {event.event_id} at {event.seq}: {error}") from error
        head = self.cursor.chain_hash
        rows: list[Row] = []
        for entry, body in batch.record():
            head = chain.link(head, entry.seq, body)
            rows.append(_event_row(entry, body, head))
        topic_seqs = self.cursor.topic_seqs | {e.TOPIC: e.topic_seq for e in events}
        after = RecordCursor(upto, epoch, head, topic_seqs, self.projector.snapshot())
        return Transaction(
            before=self.cursor,
            after=after,
            tick_lines="".join(batch.lines),
            days=frozenset(batch.days),
            event_rows=rows,
            projections=batch.projections,
            ticks=len(batch.lines),
        )

    def _take(self, batch: "_Batch", event: AnyEvent, body: bytes, keep: Keep) -> None:
        # The fold comes first, so that it stays equal to the other folds whatever is refused.
        if type(event) is MarketData:
            self.projector.apply_tick(event)
        else:
            rows = batch.projections if keep is Keep.ALL else Projections()
            self.projector.apply(event, rows)
        if keep is not Keep.NOTHING:
            batch.add(event, body)


class _Batch:
    """What one transaction collects."""

    def __init__(self) -> None:
        self.projections = Projections()
        self.lines: list[str] = []
        self.bodies: list[bytes] = []
        self.days: set[int] = set()
        self.ticks: list[AnyEvent] = []
        self.entries: list[tuple[AnyEvent | chain.TickBatch, bytes]] = []

    def add(self, event: AnyEvent, body: bytes) -> None:
        """Write this event down."""
        if not year_is_storable(event.timestamp):
            raise UnstorableError(f"timestamp {event.timestamp} is not in the years 1970 to 9998")
        kind = type(event)
        if kind is MarketData or kind is Clock:
            self.lines.append(tick_line(event, body))  # type: ignore[arg-type]
            self.bodies.append(body)
            self.ticks.append(event)
            self.days.add(event.timestamp // MS_PER_DAY)
        else:
            self.entries.append((event, body))

    def record(self) -> list[tuple[AnyEvent | chain.TickBatch, bytes]]:
        """Rows of ``events`` in their order: what was published, and the batch of ticks."""
        if not self.ticks:
            return self.entries
        ticks = chain.tick_batch(self.bodies, self.ticks[0], self.ticks[-1])
        entries = [*self.entries, (ticks, _encode(ticks))]
        entries.sort(key=lambda entry: entry[0].seq)
        return entries


def _event_row(event: AnyEvent | chain.TickBatch, body: bytes, chain_hash: bytes) -> Row:
    """A row in the column order of ``tables.COLUMNS["events"]``."""
    if isinstance(event, chain.TickBatch):
        topic, kind, causation, correlation, external = (
            topics.MARKET_DATA, chain.TICK_BATCH, None, None, False,
        )  # fmt: skip
    else:
        topic, kind, external = event.TOPIC, type_of(event), event.external
        causation, correlation = event.causation_id, event.correlation_id
    return (
        event.seq,
        topic,
        event.topic_seq,
        clean(event.event_id),
        kind,
        clean(event.producer),
        clean(event.run_id),
        time_of(event.timestamp),
        clean(causation) if causation is not None else None,
        clean(correlation) if correlation is not None else None,
        event.schema_version,
        external,
        body.decode(),
        chain_hash,
    )
