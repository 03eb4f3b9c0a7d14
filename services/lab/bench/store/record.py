"""The record of the store's benchmark: two synthetic runs, decided by the stages, written down."""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from typing import Final

import msgspec

from services.cdb_ws.sources.synthetic import START_MS, Synthetic
from services.kernel.events import (
    SCHEMA_VERSION,
    AnyEvent,
    Event,
    OpeningAccount,
    RunEnded,
    RunStarted,
    codec,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.pipeline import Pipeline
from services.persistence.order_store import OrderStore
from services.persistence.orders import TOPICS as ORDER_TOPICS
from services.persistence.orders import OrderProjector, OrderRows
from services.persistence.record_store import RecordStore
from services.persistence.recorder import Recorder
from services.proof.validation import validation
from services.proof.verification.reexecution import reexecute
from services.record.database import DatabaseRecord
from services.record.reading import Span
from services.record.runs import RecordedRun, runs_of
from services.runtime.database.connections import DatabaseAddress, connect_to_read

LOOKBACK_MINUTES: Final = 1
BATCH: Final = 5_000
EPOCH: Final = "bench"
EQUITY: Final = Decimal(100_000)
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run of the record.

    Attributes:
        name: What it stands for.
        trades_per_minute: Of each of five symbols; a quote comes with every second one.
        threshold: ``SIGNAL_THRESHOLD_PCT``.
    """

    name: str
    trades_per_minute: int
    threshold: str


BUSY: Final = RunPlan("busy", 20, "0.001")
"""Decisions all the time, and as many clocks as in a quiet market: one signal in 60 events."""
QUOTED: Final = RunPlan("quoted", 200, "0.003")
"""Nearly all ticks, a third of them quotes, as in a fast market."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What re-executing one run took.

    Attributes:
        cpu_seconds: Of the one process that re-executes, reading included.
        seconds: On the wall.
    """

    events: int
    decisions: int
    divergences: int
    cpu_seconds: float
    seconds: float

    def to_json(self) -> dict[str, float | int]:
        """The figures; the rate is that of one core."""
        return {
            "events": self.events,
            "decisions": self.decisions,
            "divergences": self.divergences,
            "events_per_s": round(self.events / self.cpu_seconds),
            "events_per_s_wall": round(self.events / self.seconds),
        }


def events_of(plans: Iterable[RunPlan], count: int) -> Iterator[AnyEvent]:
    """The total order of some runs, one after the other.

    Args:
        plans: The runs.
        count: Ticks and clocks of each.
    """
    pipeline = Pipeline()
    for plan in plans:
        run = _run_started(plan)
        steps = Synthetic(
            run.run_id,
            SEED,
            lookback_minutes=LOOKBACK_MINUTES,
            trades_per_minute=plan.trades_per_minute,
        ).steps()
        last: Event = run
        for event in pipeline.run(chain((run,), (step[1] for step in islice(steps, count)))):
            yield event  # type: ignore[misc]  # all that a pipeline yields is one of them
            last = event
        yield from pipeline.feed(_run_ended(run, last.timestamp))  # type: ignore[misc]


def published(event: Event) -> bytes:
    """An event as the bus publishes it: what it was handed, and the place at the end."""
    handed = codec.encode(msgspec.structs.replace(event, seq=0, topic_seq=0))
    return handed[:-1] + f',"seq":{event.seq},"topic_seq":{event.topic_seq}}}'.encode()


def write(writer: DatabaseAddress, execution: DatabaseAddress, events: Iterable[AnyEvent]) -> int:
    """Write events as the two services do that write.

    Args:
        writer: The database, as role ``cdb_db_writer``.
        execution: The same, as ``cdb_execution``.
        events: In total order.

    Returns:
        The last seq.
    """
    store, orders = RecordStore(writer), OrderStore(execution)
    recorder, projector = Recorder(store.open()), OrderProjector()
    before, state = orders.open()
    projector.restore(state)
    try:
        for batch in _batches(events):
            upto = batch[-1].seq
            bodies = [published(event) for event in batch]
            made = recorder.prepare(batch, bodies, upto=upto, epoch=EPOCH)
            store.commit(made)
            recorder.accept(made)
            rows = OrderRows()
            for event in batch:
                if event.TOPIC in ORDER_TOPICS:
                    projector.apply(event, rows)
            orders.commit(rows, before=before, after=upto, state=projector.snapshot())
            before = upto
    finally:
        store.close()
        orders.close()
    return before


def verify(record: DatabaseRecord, run: RecordedRun) -> Verified:
    """Re-execute a run from the database and take the time."""
    began, cpu = time.monotonic(), time.process_time()
    found = reexecute(record.bodies(run.span))
    return Verified(
        events=found.events,
        decisions=sum(found.comparison.compared.values()),
        divergences=found.comparison.divergences,
        cpu_seconds=time.process_time() - cpu,
        seconds=time.monotonic() - began,
    )


def validate(record: DatabaseRecord, span: Span) -> dict[str, int]:
    """Check a part of the record by all rules and take the time."""
    cpu = time.process_time()
    found = validation.validate(record, span, lambda _: None)
    seconds = time.process_time() - cpu
    return {
        "rows": found.rows,
        "findings": found.findings.total,
        "rows_per_s": round(found.rows / seconds),
    }


def measure(owner: DatabaseAddress, plans: tuple[RunPlan, ...]) -> dict[str, object]:
    """Verify each run, and validate all.

    Args:
        owner: The database that holds the runs, in the order of ``plans``.
        plans: The runs.
    """
    with connect_to_read(owner, application="claire-bench") as connection:
        record = DatabaseRecord(connection)
        try:
            runs = runs_of(record)
            verified = {
                plan.name: verify(record, run).to_json()
                for plan, run in zip(plans, runs, strict=True)
            }
            return {"verify": verified, "validate": validate(record, record.whole())}
        finally:
            record.close()


def sample_ids(owner: DatabaseAddress, number: int) -> list[str]:
    """Ids of every kind that `claire explain` takes, so many of each, by chance but always same."""
    chosen = random.Random(SEED)  # noqa: S311 - a sample, not a secret
    ids: list[str] = []
    with connect_to_read(owner, application="claire-bench") as connection:
        for statement in _IDS:
            found = [row[0] for row in connection.execute(statement).fetchall()]
            ids += chosen.sample(found, min(number, len(found)))
    return ids


def _batches(events: Iterable[AnyEvent]) -> Iterator[list[AnyEvent]]:
    waiting: list[AnyEvent] = []
    for event in events:
        waiting.append(event)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _run_started(plan: RunPlan) -> RunStarted:
    at = START_MS - LOOKBACK_MINUTES * 60_000
    run_id = make_id("bench store", plan.name)
    return RunStarted(
        event_id=make_id(run_id, "started"),
        run_id=run_id,
        producer=topics.PAPER_RUNNER,
        schema_version=SCHEMA_VERSION,
        timestamp=at,
        causation_id=None,
        correlation_id=None,
        settings={
            "CDB_SPEED": "max",
            "LOOKBACK_MINUTES": str(LOOKBACK_MINUTES),
            "SIGNAL_THRESHOLD_PCT": plan.threshold,
            "SIGNAL_COOLDOWN_SEC": "5",
            "MAX_TRADES_PER_HOUR": "1000",
            "LOSS_COOLDOWN_SEC": "1800",
            "MAX_CONSECUTIVE_LOSSES": "3",
        },
        seed=SEED,
        code_version="bench",
        source="synthetic",
        account=OpeningAccount(
            cash=EQUITY, peak_equity=EQUITY, day_start_equity=EQUITY, day=at // 86_400_000
        ),
    )


def _run_ended(run: RunStarted, at: int) -> RunEnded:
    return RunEnded(
        event_id=make_id(run.run_id, "ended"),
        run_id=run.run_id,
        producer=topics.PAPER_RUNNER,
        schema_version=SCHEMA_VERSION,
        timestamp=at,
        causation_id=None,
        correlation_id=None,
        reason="the benchmark's market is over",
    )


_IDS: Final = (
    "SELECT signal_id FROM signals ORDER BY 1",
    "SELECT decision_id FROM risk_decisions ORDER BY 1",
    "SELECT event_id FROM risk_decisions WHERE verdict = 'REJECTED' ORDER BY 1",
    "SELECT order_id FROM orders ORDER BY 1",
    "SELECT trade_id FROM trades ORDER BY 1",
    "SELECT event_id FROM alerts ORDER BY 1",
    "SELECT causation_id FROM events WHERE type = 'signal' ORDER BY 1",
)
