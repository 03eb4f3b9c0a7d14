"""Proof from the record: verify, validate, export."""

import json
import time
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import click

from services.cli.failure import BadInput, Failure
from services.cli.json_option import json_option
from services.cli.progress import rows_bar
from services.cli.prove.divergence import divergence_lines
from services.cli.record_access import (
    open_database_record,
    open_record,
    record_options,
    run_option,
)
from services.cli.target import Where, on_option
from services.cli.terminal import say
from services.cli.utc_time import UtcTime
from services.explain.figures import counted
from services.proof.validation import validation
from services.proof.validation.findings import KEPT, MEANINGS
from services.proof.validation.validation import Head, Validated
from services.proof.verification import report
from services.proof.verification.reexecution import (
    Reexecuted,
    Window,
    reexecute,
    reexecute_in_kernel,
)
from services.record import exported
from services.record.reading import Record, RecordError, Span
from services.record.runs import RecordedRun, choose_run, runs_of, span_of, spans_within
from services.runtime.service.code_version import code_version

SHOWN_FINDINGS = 20
VERIFY_EXAMPLES = """\b
Examples:
  claire verify --json
  claire verify --run last --against kernel
  claire verify --since 2026-05-21 --until "2026-05-21 12:00"
  claire verify --file yesterday.jsonl.gz
"""


@click.command(epilog=VERIFY_EXAMPLES)
@record_options
@run_option
@click.option("--since", type=UtcTime(), help="Compare from this event time on (UTC).")
@click.option("--until", type=UtcTime(), help="Stop at this event time (UTC).")
@click.option(
    "--against",
    type=click.Choice(["stages", "kernel"]),
    default="stages",
    show_default=True,
    help="`stages`: each stage on its recorded input. `kernel`: all stages in one process on the"
    " recorded market, for runs in lock-step (`--speed max`).",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    where: Where | None,
    file: Path | None,
    run_id: str | None,
    since: int | None,
    until: int | None,
    against: str,
    as_json: bool,
) -> None:
    """Re-execute what is recorded, and compare every decision with the record, byte for byte.

    Exit code 0 when all are equal and no event is missing, 1 otherwise.
    """
    if since is not None and until is not None and until <= since:
        raise BadInput("--until is not later than --since; nothing lies between them")
    with open_record(where, file) as record:
        try:
            runs = runs_of(record)
            chosen = runs if run_id is None else [choose_run(runs, run_id)]
            spans = spans_within(chosen, since or 0, until)
            if against == "kernel":
                _check_lockstep(chosen, spans)
            began = time.monotonic()
            found = _reexecute(record, spans, Window(since or 0, until), against, quiet=as_json)
            seconds = time.monotonic() - began
            figures = report.to_json(found, record, Span(spans[0].after, spans[-1].upto))
        except RecordError as error:
            raise Failure(str(error)) from None
    figures |= {
        "against": against,
        "seconds": round(seconds, 3),
        "events_per_s": round(found.events / seconds) if seconds else 0,
        "code_version": code_version(),
    }
    if as_json:
        say(json.dumps(figures))
    else:
        _show(figures)
    ctx.exit(1 if figures["divergences"] or figures["missing"] else 0)


def _check_lockstep(runs: list[RecordedRun], spans: list[Span]) -> None:
    for run in runs:
        wanted = any(span.after <= run.span.after < span.upto for span in spans)
        if wanted and not run.lockstep:
            raise BadInput(
                f"run {run.run_id[:12]} was not in lock-step: on the bus its events may stand in"
                " another order than in one process; verify it without --against kernel"
            )


def _reexecute(
    record: Record, spans: list[Span], window: Window, against: str, *, quiet: bool
) -> Reexecuted:
    again = reexecute if against == "stages" else reexecute_in_kernel
    parts = []
    for span in spans:
        with rows_bar("re-executing", span, quiet=quiet) as advance:
            bodies, whole = record.bodies(span), span.after == 0
            parts.append(again(bodies, window=window, from_beginning=whole, progress=advance))
    return reduce(add, parts)


def _show(figures: dict[str, Any]) -> None:
    stages = ", ".join(f"{n:,} by {name}" for name, n in figures["decisions_by_stage"].items())
    say(
        f"{figures['events']:,} events re-executed in {figures['seconds']:.1f} s"
        f" ({figures['events_per_s']:,}/s), {counted(len(figures['runs']), 'run')}"
    )
    say(f"{figures['decisions']:,} outputs compared: {stages or 'none'}")
    if figures["pending"]:
        say(
            f"{figures['pending']:,} of them are not in the record, which has no end of that run:"
            " it goes on, or was stopped"
        )
    if figures["lost_and_named"]:
        say(f"{figures['lost_and_named']:,} outputs lie in a part that is recorded as lost")
    others = sorted({v for v in figures["runs"].values() if v != figures["code_version"]})
    if others:
        say(f"recorded by code {', '.join(others)}; this is {figures['code_version']}")
    if figures["missing"]:
        hole = figures["first_missing"]
        numbers = f"number {hole['first']}"
        if hole["last"] > hole["first"]:
            numbers = f"numbers {hole['first']} to {hole['last']}"
        say(
            f"{counted(figures['missing'], 'event')} missing from the record; the first:"
            f" {numbers} of {hole['topic']}, before row {hole['before']}. What to do is in"
            " backoffice/docs/RECORD.md, A broken record"
        )
    if figures["first_divergence"] is None:
        whole = "" if figures["missing"] else " The record is what this code decides on this data."
        say(f"divergences: 0.{whole}")
    else:
        say(f"divergences: {figures['divergences']:,}. The first:")
        for line in divergence_lines(figures["first_divergence"]):
            say(f"  {line}")


class ChainHead(click.ParamType[Head]):
    """``SEQ:HASH``."""

    name = "seq:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        """The head."""
        seq, _, chain_hash = str(value).partition(":")
        if not seq.isdigit() or len(chain_hash) != 64:
            problem = f"{value!r} is no chain head; write SEQ:HASH, the hash with 64 characters"
            self.fail(problem, param, ctx)
        return Head(int(seq), chain_hash.lower())


@click.command(epilog="Example: claire validate --run last --json")
@record_options
@run_option
@click.option(
    "--head",
    type=ChainHead(),
    help="SEQ:HASH as a log, `claire validate` or the writer's status page reported it earlier; the"
    " record must still contain it.",
)
@json_option
@click.pass_context
def validate(
    ctx: click.Context,
    where: Where | None,
    file: Path | None,
    run_id: str | None,
    head: Head | None,
    as_json: bool,
) -> None:
    """Check that the record can be true: its hash chain, order, causes, and what must be conserved.

    Exit code 0 when every rule holds, 1 when one is broken.
    """
    with open_record(where, file) as record:
        try:
            span = span_of(record, run_id)
            with rows_bar("checking", span, quiet=as_json) as advance:
                found = validation.validate(record, span, advance, head=head)
        except RecordError as error:
            raise Failure(str(error)) from None
    if as_json:
        say(json.dumps(found.to_json()))
    else:
        _show_validation(found)
    ctx.exit(1 if found.findings.total else 0)


def _show_validation(found: Validated) -> None:
    counts = ", ".join(f"{number:,} {name}" for name, number in found.counts.items())
    say(f"{found.rows:,} rows, seq {found.span.after + 1} to {found.span.upto}: {counts}")
    say(f"chain head {found.span.upto}:{found.chain_head}")
    if found.pending:
        say(
            f"{found.pending:,} not answered yet by a run without a recorded end: it goes on, or"
            " was stopped"
        )
    if found.excused:
        say(f"{found.excused:,} lie in a part that is recorded as lost")
    for rule, meaning in MEANINGS.items():
        broken = found.findings.by_rule[rule]
        say(f"  {'ok' if not broken else f'{broken:,} broken':<10} {rule:<18} {meaning}")
    total = found.findings.total
    if not total:
        say("every rule holds: the record can be true")
        return
    say(f"the record is not true: {counted(total, 'finding')}, as they were met")
    for finding in found.findings.first[:SHOWN_FINDINGS]:
        where = f"row {finding.seq}" if finding.seq else "no row"
        event = f", event {finding.event_id}" if finding.event_id else ""
        say(f"  {finding.rule} {where}{event}: {finding.message}")
    if total > SHOWN_FINDINGS:
        say(f"  and {total - SHOWN_FINDINGS:,} more; --json lists the first {KEPT:,}")


@click.command(epilog="Example: claire export --run last --out yesterday.jsonl.gz")
@on_option
@run_option
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; an existing one is replaced.",
)
@json_option
def export(where: Where | None, run_id: str | None, out: Path, as_json: bool) -> None:
    """Write the record, its hash chain included, to a file that verify and validate read."""
    with open_database_record(where) as record:
        try:
            span = span_of(record, run_id)
            rows = exported.export(record, span, out)
        except (RecordError, OSError) as error:
            raise Failure(f"{out}: {error}") from None
    size = out.stat().st_size
    if as_json:
        body = {"file": str(out), "rows": rows, "bytes": size, "from": span.after + 1}
        say(json.dumps(body | {"upto": span.upto}))
        return
    say(f"{out}: {rows:,} rows, seq {span.after + 1} to {span.upto}, {size:,} bytes")
