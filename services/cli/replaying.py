"""What would have happened: replay."""

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from services.cli.failure import BadInput, Failure
from services.cli.progress import rows_bar
from services.cli.record_access import open_record, record_options
from services.cli.target import Where
from services.cli.terminal import wide_console
from services.kernel.settings import SettingError
from services.research.explanation import narration
from services.research.explanation.figures import moment
from services.research.record.reading import Record, RecordError
from services.research.record.runs import RecordedRun, choose_run, runs_of
from services.research.verification.report import find_event
from services.research.what_if.difference import Compared, Difference, compare, summary
from services.research.what_if.rerun import Decided, parse_changes, recorded, rerun

SHOWN = 20
EXAMPLES = """\b
Examples:
  claire replay --set MAX_POSITION_PCT=0.05
  claire replay --run last --set STOP_LOSS_PCT=0.01 --set MAX_TRADES_PER_HOUR=50 --json
  claire replay --baseline record        (other code on the same market)
"""


@click.command(epilog=EXAMPLES)
@record_options
@click.option("--run", "run_id", default="last", show_default=True, help="Which run.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another setting.")
@click.option(
    "--baseline",
    type=click.Choice(["record", "kernel"]),
    help="What to compare with: the decisions as recorded (default for runs in lock-step), or the"
    " same re-run with the recorded settings.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(
    where: Where | None,
    file: Path | None,
    run_id: str,
    changes: tuple[str, ...],
    baseline: str | None,
    as_json: bool,
) -> None:
    """Run a recorded market again, with other settings or other code, and list what differs."""
    try:
        settings = parse_changes(changes)
    except SettingError as error:
        raise BadInput(str(error)) from None
    with open_record(where, file) as record:
        try:
            run = choose_run(runs_of(record), run_id)
            baseline = baseline or ("record" if run.lockstep else "kernel")
            before = _before(record, run, baseline, quiet=as_json)
            with rows_bar("running again", run.span, quiet=as_json) as advance:
                after = rerun(record.bodies(run.span), settings, advance)
            found = compare(before, after)
            cause = _cause(record, run, found)
        except RecordError as error:
            raise Failure(str(error)) from None
    if as_json:
        body = _to_json(before, after, found, cause) | {"run_id": run.run_id}
        click.echo(json.dumps(body | {"baseline": baseline, "set": settings}))
    else:
        _show(before, after, found, cause, baseline)


def _before(record: Record, run: RecordedRun, baseline: str, *, quiet: bool) -> Decided:
    with rows_bar("the baseline", run.span, quiet=quiet) as advance:
        bodies = record.bodies(run.span)
        return recorded(bodies, advance) if baseline == "record" else rerun(bodies, {}, advance)


def _cause(record: Record, run: RecordedRun, found: Compared) -> bytes | None:
    if not found.differences:
        return None
    return find_event(record, run.span, found.differences[0].decision.causation_id)


def _to_json(
    before: Decided, after: Decided, found: Compared, cause: bytes | None
) -> dict[str, Any]:
    first = found.differences[0] if found.differences else None
    return {
        "before": summary(before),
        "after": summary(after),
        "same": found.same,
        "differ": found.differ,
        "by_change": {str(change): n for change, n in found.by_change.items()},
        "first_difference": None if first is None else _explained(first, cause),
        "differences": [
            {
                "change": str(difference.change),
                "timestamp": difference.decision.timestamp,
                "symbol": difference.decision.symbol,
                "before": _line(difference, "before"),
                "after": _line(difference, "after"),
            }
            for difference in found.differences
        ],
    }


def _explained(first: Difference, cause: bytes | None) -> dict[str, Any]:
    def told(side: str) -> list[str] | None:
        decision = getattr(first, side)
        if decision is None:
            return None
        title, lines = narration.narrate(decision)
        return [title, *lines]

    return {
        "change": str(first.change),
        "cause": json.loads(cause) if cause else None,
        "before": told("before"),
        "after": told("after"),
    }


def _line(difference: Difference, side: str) -> str:
    decision = getattr(difference, side)
    return narration.narrate(decision)[0] if decision else "no decision"


def _show(
    before: Decided, after: Decided, found: Compared, cause: bytes | None, baseline: str
) -> None:
    console = wide_console()
    table = Table("", f"before ({baseline})", "after", title="figures", title_justify="left")
    ours, theirs = summary(before), summary(after)
    for name, value in ours.items():
        table.add_row(name, _cell(value), _cell(theirs[name]))
    console.print(table)
    kinds = ", ".join(f"{change} {n}" for change, n in found.by_change.most_common())
    click.echo(f"decisions: {found.same:,} the same, {found.differ:,} differ ({kinds or 'none'})")
    if not found.differences:
        return
    click.echo("the first that differs:")
    told = _explained(found.differences[0], cause)
    if told["cause"]:
        click.echo(f"  caused by {told['cause']['type']} {told['cause']['event_id']}")
    for side in ("before", "after"):
        click.echo(f"  {side}:")
        for line in told[side] or ["no decision"]:
            click.echo(f"    {line}")
    listing = Table("time (UTC)", "change", "before", "after", title="decisions that differ")
    for difference in found.differences[:SHOWN]:
        listing.add_row(
            moment(difference.decision.timestamp),
            difference.change,
            _line(difference, "before"),
            _line(difference, "after"),
        )
    console.print(listing)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {n}" for name, n in value.items()) or "-"
    return "-" if value is None else str(value)
