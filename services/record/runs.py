"""Which runs a record has, and where each begins."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from services.kernel.events import Instruments, RunEnded, RunStarted
from services.kernel.events.codec import decode
from services.persistence import chain
from services.record.reading import Record, RecordError, Span


class RecordedRun(NamedTuple):
    """One run of a record.

    Attributes:
        run_id: Its id.
        span: From its ``run_started`` to the last event before the next run's.
        started_at: When a person started it, Unix ms; not the time of its market in a replay.
        first_at, last_at: Event time of its market, Unix ms, as far as it is recorded.
        code_version: Of the program that recorded it.
        lockstep: Whether it was recorded in lock-step (``CDB_SPEED=max``).
        ended: Whether the record has its end.
    """

    run_id: str
    span: Span
    started_at: int
    first_at: int
    last_at: int
    code_version: str
    lockstep: bool
    ended: bool


def runs_of(record: Record) -> list[RecordedRun]:
    """The runs of a record, oldest first.

    Raises:
        RecordError: It has none, or a row that cannot be read.
    """
    whole = record.whole()
    found: list[RecordedRun] = []
    ticks = b""
    for link in record.landmarks(whole):
        if link.kind == "run_started":
            if found:
                span = Span(found[-1].span.after, link.seq - 1)
                found[-1] = _closed(found[-1], ticks)._replace(span=span)
            found.append(_run(link.seq, link.body, whole.upto))
            ticks = b""
        elif not found:
            continue
        elif link.kind == chain.TICK_BATCH:
            ticks = link.body
        elif link.kind in ("run_ended", "instruments"):
            found[-1] = _updated(found[-1], _event(link.seq, link.body))
    if found:
        found[-1] = _closed(found[-1], ticks)
    else:
        raise RecordError("no run has started in this record; `claire run-paper` starts one")
    return found


def choose_run(runs: list[RecordedRun], run_id: str) -> RecordedRun:
    """The run with this id, or the only one whose id begins so; ``last`` is the newest.

    Raises:
        RecordError: There is none, or several.
    """
    if run_id == "last":
        return runs[-1]
    matching = [run for run in runs if run.run_id.startswith(run_id)]
    if len(matching) == 1:
        return matching[0]
    known = ", ".join(f"{run.run_id[:12]} ({_utc(run.started_at)})" for run in runs[-5:])
    problem = "several runs begin with" if matching else "no run has the id"
    raise RecordError(f"{problem} {run_id!r}; the last ones are {known}")


def span_of(record: Record, run_id: str | None) -> Span:
    """Where a run is recorded; the whole record without one.

    Raises:
        RecordError: There is no such run, or several.
    """
    return record.whole() if run_id is None else choose_run(runs_of(record), run_id).span


def spans_within(runs: list[RecordedRun], since: int, until: int | None) -> list[Span]:
    """The parts of a record that reach into a time of the market, oldest first.

    A part is whole runs, one behind the other; time may go back from run to run, because each has
    the time of its market. One that lies outside, or is only wanted to its middle, ends the part:
    what the next run takes over from it is not known then.

    Args:
        runs: Of one record, in order.
        since: Unix ms.
        until: Unix ms; None for no end.

    Raises:
        RecordError: None reaches into that time.
    """
    spans: list[Span] = []
    goes_on = False
    for run in runs:
        if run.last_at < since or (until is not None and run.first_at > until):
            goes_on = False
            continue
        if goes_on:
            spans[-1] = Span(spans[-1].after, run.span.upto)
        else:
            spans.append(run.span)
        goes_on = until is None or run.last_at <= until
    if not spans:
        first, last = min(run.first_at for run in runs), max(run.last_at for run in runs)
        raise RecordError(
            f"no run lies in that time; the record has the markets of {_utc(first)} to {_utc(last)}"
        )
    return spans


def _run(seq: int, body: bytes, upto: int) -> RecordedRun:
    started = _event(seq, body)
    assert isinstance(started, RunStarted)
    return RecordedRun(
        run_id=started.run_id,
        span=Span(seq - 1, upto),
        started_at=started.timestamp,
        first_at=0,
        last_at=started.timestamp,
        code_version=started.code_version,
        lockstep=started.settings.get("CDB_SPEED") == "max",
        ended=False,
    )


def _updated(run: RecordedRun, event: object) -> RecordedRun:
    """The run, and what one of its own events adds."""
    if isinstance(event, RunEnded) and event.run_id == run.run_id:
        return run._replace(ended=True)
    if isinstance(event, Instruments) and not run.first_at:
        return run._replace(first_at=event.timestamp)
    return run


class _Time(Struct):
    timestamp: int


def _closed(run: RecordedRun, ticks: bytes) -> RecordedRun:
    """The run, its last batch of ticks known; empty when it has none."""
    last = msgspec.json.decode(ticks, type=_Time).timestamp if ticks else run.started_at
    return run._replace(first_at=min(run.first_at or run.started_at, last), last_at=last)


def _event(seq: int, body: bytes) -> object:
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        raise RecordError(f"the event at seq {seq} cannot be read: {error}") from None


def _utc(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
