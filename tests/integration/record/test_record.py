"""Verification on a real database: an honest record, a thief with superuser rights, a file."""

import gzip
from pathlib import Path

import pytest

from services.kernel.events import AnyEvent, RiskDecision, RunStarted
from services.proof.validation.findings import Rule
from services.proof.validation.validation import Validated, validate
from services.proof.verification.comparison import Kind
from services.proof.verification.reexecution import Reexecuted, reexecute
from services.record.database import DatabaseRecord
from services.record.exported import ExportedRecord, export
from services.record.reading import Record, RecordError
from services.record.runs import choose_run, runs_of
from services.runtime.database.connections import connect
from tests.recorded import published, record_of
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


def verified(record: Record) -> Reexecuted:
    return reexecute(record.bodies(record.whole()))


def validated(record: Record) -> Validated:
    return validate(record, record.whole())


def tampered(server: PostgresServer, statement: str, seq: int | None = None) -> None:
    """As a superuser changes what the triggers protect."""
    with server.connection() as connection:
        connection.execute("SET session_replication_role = replica")
        changed = connection.execute(statement.encode(), (seq,) if seq else None)
        assert changed.rowcount > 0, "the tampering has to change something"


def test_the_database_gives_back_exactly_what_was_published(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    assert list(record.bodies(record.whole())) == [published(event) for event in recorded_events]


def test_who_stops_reading_early_may_go_on_asking(record: DatabaseRecord) -> None:
    whole = record.whole()
    more_than_buffers = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT"
    lines = record._lines(more_than_buffers, whole)
    assert next(lines) == b"x" * 1000
    lines.close()  # type: ignore[attr-defined]
    assert record.whole() == whole


def test_an_honest_record_verifies_and_validates(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    found = verified(record)
    assert (found.events, found.comparison.divergences) == (len(recorded_events), 0)
    assert validated(record).findings.first == []


def test_a_row_that_a_superuser_changed_is_named_by_both(
    recorded_server: PostgresServer, recorded_events: list[AnyEvent]
) -> None:
    decision = next(e for e in recorded_events if isinstance(e, RiskDecision) and e.signal_id)
    tampered(
        recorded_server,
        'UPDATE events SET body = replace(body::text, \'"equity":"1\', \'"equity":"2\')::json'
        " WHERE seq = %s",
        decision.seq,
    )
    with connect(recorded_server.address, application="test") as connection:
        record = DatabaseRecord(connection)
        first = verified(record).comparison.first
        finding = validated(record).findings.first[0]
        record.close()
    assert first is not None
    assert (first.kind, first.seq) == (Kind.DIFFERS, decision.seq)
    assert (finding.rule, finding.seq) == (Rule.CHAIN, decision.seq)


def test_a_row_that_a_superuser_deleted_is_noticed(
    recorded_server: PostgresServer, recorded_events: list[AnyEvent]
) -> None:
    decision = next(e for e in recorded_events if isinstance(e, RiskDecision) and e.signal_id)
    tampered(recorded_server, "DELETE FROM events WHERE seq = %s", decision.seq)
    with connect(recorded_server.address, application="test") as connection:
        record = DatabaseRecord(connection)
        found = verified(record)
        rules = validated(record).findings.by_rule
        record.close()
    assert found.comparison.first is not None
    assert found.comparison.first.kind is Kind.NOT_RECORDED
    assert found.comparison.first.event_id == decision.event_id
    assert {Rule.CHAIN, Rule.COMPLETE, Rule.ONE_DECISION} <= set(rules)


def test_a_tick_that_a_superuser_changed_breaks_its_batch(recorded_server: PostgresServer) -> None:
    tampered(
        recorded_server,
        'UPDATE market_data SET body = replace(body::text, \'"price":"\', \'"price":"9\')::json'
        " WHERE seq = (SELECT min(seq) FROM market_data WHERE kind = 'trade')",
    )
    with connect(recorded_server.address, application="test") as connection:
        record = DatabaseRecord(connection)
        rules = validated(record).findings.by_rule
        record.close()
    assert rules[Rule.TICKS] == 1


def test_an_export_is_the_same_record(record: DatabaseRecord, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl.gz"
    rows = export(record, record.whole(), path)
    exported = ExportedRecord(path)
    whole = record.whole()
    assert rows == len(list(record.rows(whole)))
    assert list(exported.bodies(exported.whole())) == list(record.bodies(whole))
    assert verified(exported).comparison.divergences == 0
    assert validated(exported).findings.first == []
    assert validated(exported).chain_head == validated(record).chain_head


def test_a_cut_export_is_refused(record: DatabaseRecord, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl.gz"
    export(record, record.whole(), path)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-40])))
    with pytest.raises(RecordError, match="it was cut"):
        verified(ExportedRecord(path))
    path.write_bytes(gzip.compress(b"".join(lines[:20] + lines[21:])))
    with pytest.raises(RecordError, match="it was changed"):
        verified(ExportedRecord(path))


@pytest.mark.parametrize("content", [b"", b"no gzip at all", gzip.compress(b"{}\n", mtime=0)])
def test_what_is_no_export_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="not what `claire export` writes"):
        ExportedRecord(path)


def test_runs_are_found_by_the_beginning_of_their_id(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    started = next(e for e in recorded_events if isinstance(e, RunStarted))
    runs = runs_of(record)
    assert [run.run_id for run in runs] == [started.run_id]
    assert runs[0].ended
    assert choose_run(runs, "last") == choose_run(runs, started.run_id[:4]) == runs[0]
    with pytest.raises(RecordError, match="no run has the id 'zzz'"):
        choose_run(runs, "zzz")


def test_an_empty_record_says_so(postgres_server: PostgresServer) -> None:
    with connect(postgres_server.address, application="test") as connection:
        record = DatabaseRecord(connection)
        with pytest.raises(RecordError, match="is empty"):
            record.whole()
        record.close()


def test_runs_are_found_through_the_index_as_in_the_whole_chain(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    whole = record.whole()
    links = list(record.links(whole))
    wanted = ("run_started", "run_ended", "instruments")
    last_batch = [link for link in links if link.kind == "tick_batch"][-1]

    found = list(record.landmarks(whole))

    assert found == sorted([*(link for link in links if link.kind in wanted), last_batch])
    memory = record_of(recorded_events)
    reported, known = runs_of(record)[0], runs_of(memory)[0]
    assert reported == known
