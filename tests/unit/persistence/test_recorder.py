"""From events to one transaction: the same rows however the events are batched."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import AnyEvent, Side, codec
from services.persistence import chain
from services.persistence.projector import Projections
from services.persistence.recorder import Keep, RecordCursor, Recorder, UnstorableError
from services.persistence.tables import Row
from tests.bus_builders import clock, run_ended, run_started, tick
from tests.record_builders import alert, decision, order, result, signal

pytestmark = pytest.mark.unit


def published(events: list[AnyEvent]) -> list[AnyEvent]:
    """The events as the bus would have numbered them."""
    topic_seqs: dict[str, int] = {}
    numbered = []
    for seq, event in enumerate(events, start=1):
        topic_seqs[event.TOPIC] = topic_seqs.get(event.TOPIC, 0) + 1
        numbered.append(msgspec.structs.replace(event, seq=seq, topic_seq=topic_seqs[event.TOPIC]))
    return numbered


STORY = published(
    [
        run_started(),
        clock(0),
        tick(1),
        signal(2),
        decision(3),
        order(4),
        tick(5),
        result(6, price="101"),
        alert(7),
        clock(1000),
        order(8, side=Side.SELL),
        tick(9),
        result(10, side=Side.SELL, price="105", quantity="1"),
        clock(60_000),
        run_ended(),
    ]
)
BODIES = [codec.encode(event) for event in STORY]


def merged(into: Projections, rows: Projections) -> None:
    for table, added in rows.added.items():
        into.added.setdefault(table, []).extend(added)
    into.positions.update(rows.positions)
    into.run_ends += rows.run_ends


def record(cuts: list[int]) -> tuple[list[str], Projections, list[Row], RecordCursor]:
    """Record the story in batches that end at ``cuts``, each by a recorder of its own."""
    lines: list[str] = []
    rows = Projections()
    events: list[Row] = []
    cursor = RecordCursor()
    for start, end in zip([0, *cuts], [*cuts, len(STORY)], strict=True):
        recorder = Recorder(cursor)
        done = recorder.prepare(STORY[start:end], BODIES[start:end], upto=end, epoch="e")
        recorder.accept(done)
        lines += done.tick_lines.splitlines()
        merged(rows, done.projections)
        events += [row[:13] for row in done.event_rows if row[4] != chain.TICK_BATCH]
        cursor = recorder.cursor
    return lines, rows, events, cursor


@given(st.sets(st.integers(min_value=1, max_value=len(STORY) - 1)))
def test_batches_do_not_matter(cuts: set[int]) -> None:
    whole = record([])
    parts = record(sorted(cuts))

    assert parts[0] == whole[0]
    assert parts[1].added == whole[1].added
    assert parts[1].positions == whole[1].positions
    assert parts[1].run_ends == whole[1].run_ends
    assert parts[2] == whole[2]
    assert (parts[3].seq, parts[3].topic_seqs, parts[3].state) == (
        whole[3].seq,
        whole[3].topic_seqs,
        whole[3].state,
    )


def test_the_tick_batch_stands_where_its_last_tick_was() -> None:
    recorder = Recorder(RecordCursor())

    done = recorder.prepare(STORY[:7], BODIES[:7], upto=7, epoch="e")

    assert [(row[0], row[4]) for row in done.event_rows] == [
        (1, "run_started"),
        (4, "signal"),
        (5, "risk_decision"),
        (6, "order"),
        (7, chain.TICK_BATCH),
    ]
    head = chain.GENESIS
    for row in done.event_rows:
        head = chain.link(head, row[0], row[12].encode())
        assert row[13] == head
    assert done.after.chain_hash == head


def test_forgetting_a_prepared_batch_restores_the_fold() -> None:
    recorder = Recorder(RecordCursor())
    before = recorder.projector.snapshot()

    recorder.prepare(STORY, BODIES, upto=15, epoch="e")
    recorder.go_back()

    assert recorder.projector.snapshot() == before


def test_a_time_that_no_table_can_hold_is_named() -> None:
    late = msgspec.structs.replace(tick(1), timestamp=10**15, seq=1, topic_seq=1)
    recorder = Recorder(RecordCursor())

    with pytest.raises(UnstorableError, match="1000000000000000"):
        recorder.prepare([late], [codec.encode(late)], upto=1, epoch="e")
    recorder.go_back()
    done = recorder.prepare([late], [b"{}"], upto=1, epoch="e", keep=Keep.NOTHING)

    assert (done.ticks, done.event_rows, done.after.seq) == (0, [], 1)


def test_what_is_only_recorded_makes_no_projection_but_moves_the_fold() -> None:
    kept, recorded = Recorder(RecordCursor()), Recorder(RecordCursor())
    batch = STORY[:8], BODIES[:8]

    with_rows = kept.prepare(*batch, upto=8, epoch="e")
    without = recorded.prepare(*batch, upto=8, epoch="e", keep=Keep.RECORD)

    assert without.projections.added == {}
    assert without.event_rows == with_rows.event_rows
    assert without.after == with_rows.after


def test_a_number_that_no_table_can_hold_stays_in_the_body() -> None:
    huge = msgspec.structs.replace(tick(1), price=Decimal("1E+9999"), seq=1, topic_seq=1)
    recorder = Recorder(RecordCursor())

    done = recorder.prepare([huge], [codec.encode(huge)], upto=1, epoch="e")

    assert done.tick_lines.split("\t")[7] == "\\N"
    assert "1E+9999" in done.tick_lines
