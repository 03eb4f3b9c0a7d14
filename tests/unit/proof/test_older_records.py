"""What an older version wrote is read for ever; what a newer one wrote is not guessed at."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from services.explain.narration import narrate
from services.kernel.events import (
    SCHEMA_VERSION,
    AnyEvent,
    OrderResult,
    RiskDecision,
    Signal,
    TradingStateChanged,
    Verdict,
    codec,
    upcasts,
)
from services.kernel.events.upcasts import Document
from services.persistence.orders import TOPICS as ORDER_TOPICS
from services.persistence.orders import OrderProjector, OrderRows
from services.persistence.projector import Projections, Projector
from services.proof.validation.findings import Rule
from services.proof.validation.validation import validate
from services.proof.verification.reexecution import reexecute
from services.proof.what_if.rerun import recorded, rerun
from services.record.exported import ExportedRecord, export
from services.record.reading import RecordError
from services.record.runs import runs_of
from tests.record_fixture import path_of
from tests.recorded import lively_events, published, record_of

pytestmark = pytest.mark.unit

VERSIONS = range(1, SCHEMA_VERSION + 1)


def record_written_by(version: int) -> ExportedRecord:
    return ExportedRecord(path_of(version))


def events_of(version: int) -> list[AnyEvent]:
    record = record_written_by(version)
    return [codec.decode(body) for body in record.bodies(record.whole())]


def documents_of(version: int) -> list[Document]:
    record = record_written_by(version)
    return [msgspec.json.decode(body) for body in record.bodies(record.whole())]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_left_a_record_with_much_in_it(version: int) -> None:
    events = events_of(version)
    kinds = Counter(type(event) for event in events)
    assert {document["schema_version"] for document in documents_of(version)} == {version}
    assert min(kinds[Signal], kinds[RiskDecision], kinds[OrderResult]) > 10
    assert kinds[TradingStateChanged] > 0
    verdicts = {event.verdict for event in events if isinstance(event, RiskDecision)}
    assert {Verdict.APPROVED, Verdict.REJECTED} <= verdicts


@pytest.mark.parametrize("version", VERSIONS)
def test_it_validates(version: int) -> None:
    record = record_written_by(version)
    found = validate(record, record.whole())
    assert found.findings.first == []
    assert found.counts["fills"] > 2


@pytest.mark.parametrize("version", VERSIONS)
def test_each_of_its_events_can_be_reported(version: int) -> None:
    for event in events_of(version):
        title, lines = narrate(event)
        assert title
        assert event.event_id in " ".join(lines)


@pytest.mark.parametrize("version", VERSIONS)
def test_its_tables_can_be_made_again(version: int) -> None:
    projector, orders = Projector(), OrderProjector()
    rows, order_rows = Projections(), OrderRows()
    for event in events_of(version):
        projector.apply(event, rows)
        if event.TOPIC in ORDER_TOPICS:
            orders.apply(event, order_rows)
    assert len(rows.added["risk_decisions"]) > 10
    # The checksum covers what later folds remember beside it; what both report must be equal.
    reported = rows.mismatch or "in nothing that is published"
    assert reported.endswith("in nothing that is published"), reported


@pytest.mark.parametrize("version", VERSIONS)
def test_it_re_executes_to_its_end_and_names_the_code_that_recorded_it(version: int) -> None:
    # Whether today's code decides the same is what `verify` is asked; that it can be asked is ours.
    record = record_written_by(version)
    found = reexecute(record.bodies(record.whole()))
    assert found.last_seq == record.whole().upto
    assert found.runs == {run.run_id: run.code_version for run in runs_of(record)}
    assert sum(found.comparison.compared.values()) > 50


@pytest.mark.parametrize("version", VERSIONS)
def test_its_market_can_be_run_again(version: int) -> None:
    record = record_written_by(version)
    bodies = list(record.bodies(record.whole()))
    assert recorded(bodies).decisions
    assert rerun(bodies, {}).decisions


def of_a_newer_schema(events: list[AnyEvent], index: int) -> list[AnyEvent]:
    newer = msgspec.structs.replace(events[index], schema_version=SCHEMA_VERSION + 1)
    return [*events[:index], newer, *events[index + 1 :]]


def test_an_event_of_a_newer_schema_is_found_and_not_read_by_halves() -> None:
    events = lively_events(steps=40)
    index = next(i for i, event in enumerate(events) if isinstance(event, RiskDecision))
    newer = of_a_newer_schema(events, index)

    record = record_of(newer)
    first = validate(record, record.whole()).findings.first[0]
    assert first.rule is Rule.SCHEMA
    refused = f"event schema {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}"
    assert refused in first.message

    with pytest.raises(RecordError, match=refused):
        reexecute(published(event) for event in newer)


# -- a change that no default can express ---------------------------------------------------------


def of_schema_0(document: Document) -> Document:
    """As an earlier schema might have had it: other names, other units, two fields in one."""
    older = {**document, "schema_version": 0}
    if document["type"] == "risk_decision":
        older["equity_cents"] = str(Decimal(older.pop("equity")).scaleb(2))
    if document["type"] == "signal":
        older["asked"] = f"{older.pop('direction')} {older.pop('symbol')}"
    return older


def from_schema_0(document: Document) -> Document:
    newer = dict(document)
    if document["type"] == "risk_decision":
        newer["equity"] = str(Decimal(newer.pop("equity_cents")).scaleb(-2))
    if document["type"] == "signal":
        newer["direction"], newer["symbol"] = newer.pop("asked").split()
    return newer


def text_of_schema_0(event: AnyEvent) -> bytes:
    """As it was published then; what the bus adds stands at the end."""
    document = of_schema_0(msgspec.json.decode(published(event)))
    places = {name: document.pop(name) for name in ("seq", "topic_seq")}
    return msgspec.json.encode(document | places)


@pytest.fixture
def a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcasts, "UPCASTS", {**upcasts.UPCASTS, 0: from_schema_0})


@pytest.mark.usefixtures("a_step")
def test_a_record_with_changed_fields_is_read_as_it_would_be_written_today() -> None:
    events = lively_events(steps=120)
    record = record_of(events, text_of_schema_0)
    read = [codec.decode(body) for body in record.bodies(record.whole())]
    assert read == events
    assert any(isinstance(event, RiskDecision) for event in events)


@pytest.mark.usefixtures("a_step")
def test_it_validates_re_executes_and_runs_again_like_one_of_today(tmp_path: Path) -> None:
    events = lively_events(steps=120)
    memory = record_of(events, text_of_schema_0)
    export(memory, memory.whole(), tmp_path / "older.jsonl.gz")
    record = ExportedRecord(tmp_path / "older.jsonl.gz")

    assert validate(record, record.whole()).findings.first == []
    bodies = list(record.bodies(record.whole()))
    found = reexecute(bodies).comparison
    assert found.divergences == 0
    assert found.compared["cdb_risk"] > 10
    assert recorded(bodies).decisions == rerun(bodies, {}).decisions


def test_without_its_step_an_older_event_is_refused_and_never_read_by_halves() -> None:
    events = lively_events(steps=40)
    record = record_of(events, text_of_schema_0)
    found = validate(record, record.whole()).findings
    assert "no step leads on from schema 0" in found.first[0].message
    assert found.by_rule[Rule.SCHEMA] == len(events)
    with pytest.raises(RecordError, match="no step leads on from schema 0"):
        reexecute(record.bodies(record.whole()))


def test_steps_are_taken_in_order_and_leave_the_document_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = SCHEMA_VERSION - 2, SCHEMA_VERSION - 1
    steps = {
        first: lambda document: {**document, "way": [*document["way"], "first"]},
        second: lambda document: {**document, "way": [*document["way"], "second"]},
    }
    monkeypatch.setattr(upcasts, "UPCASTS", steps)
    oldest = {"schema_version": first, "way": []}
    newest = upcasts.upcast(oldest)
    assert newest == {"schema_version": SCHEMA_VERSION, "way": ["first", "second"]}
    assert oldest == {"schema_version": first, "way": []}


def test_every_version_left_behind_has_its_step() -> None:
    assert set(upcasts.UPCASTS) == set(range(1, SCHEMA_VERSION))
