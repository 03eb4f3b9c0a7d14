"""What would have happened: replay."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from services.cli.failure import BadInput, Failure
from services.cli.json_option import json_option
from services.cli.progress import rows_bar
from services.cli.record_access import open_record, record_options
from services.cli.target import Where
from services.cli.terminal import say, wide_console
from services.explain import narration
from services.explain.figures import moment, money, percent
from services.explain.two_versions import compared
from services.kernel.events import RiskDecision
from services.kernel.events.codec import decode
from services.kernel.settings.model import SettingError
from services.proof.verification.report import find_event
from services.proof.what_if.difference import KEPT, MEANINGS, Change, Compared, Difference, compare
from services.proof.what_if.rerun import Decided, parse_changes, recorded, rerun
from services.proof.what_if.tally import Tally, tally
from services.record.reading import Record, RecordError
from services.record.runs import RecordedRun, choose_run, runs_of

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
@json_option
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
        body = _to_json(tally(before), tally(after), found, cause) | {"run_id": run.run_id}
        say(json.dumps(body | {"baseline": baseline, "set": settings}))
    else:
        _show(tally(before), tally(after), found, cause, baseline)


def _before(record: Record, run: RecordedRun, baseline: str, *, quiet: bool) -> Decided:
    with rows_bar("the baseline", run.span, quiet=quiet) as advance:
        bodies = record.bodies(run.span)
        return recorded(bodies, advance) if baseline == "record" else rerun(bodies, {}, advance)


def _cause(record: Record, run: RecordedRun, found: Compared) -> bytes | None:
    if found.first is None:
        return None
    return find_event(record, run.span, found.first.decision.causation_id)


def _to_json(before: Tally, after: Tally, found: Compared, cause: bytes | None) -> dict[str, Any]:
    return {
        "before": before.to_json(),
        "after": after.to_json(),
        "same": found.same,
        "differ": found.differ,
        "by_change": {str(change): n for change, n in found.by_change.items()},
        "first_difference": None if found.first is None else _explained(found.first, cause),
        "differences": [
            {
                "change": str(difference.change),
                "timestamp": difference.decision.timestamp,
                "symbol": difference.decision.symbol,
                "before": _title(difference.before),
                "after": _title(difference.after),
            }
            for difference in found.differences
        ],
    }


def _explained(first: Difference, cause: bytes | None) -> dict[str, Any]:
    def layers(decision: RiskDecision | None) -> list[str] | None:
        if decision is None:
            return None
        title, lines = narration.narrate(decision)
        return [title, *lines]

    return {
        "change": str(first.change),
        "cause": json.loads(cause) if cause else None,
        "before": layers(first.before),
        "after": layers(first.after),
    }


def _title(decision: RiskDecision | None) -> str:
    return narration.figures_of(decision)[0] if decision else "no decision"


def _show(before: Tally, after: Tally, found: Compared, cause: bytes | None, baseline: str) -> None:
    wide_console().print(_figures(before, after, baseline))
    say(f"decisions: {found.same:,} the same, {found.differ:,} differ")
    for change, times in found.by_change.most_common():
        say(f"  {times:>7,} {change}: {MEANINGS[change]}")
    if found.first is not None:
        _show_first(found.first, cause)
        _show_list(found)


def _figures(before: Tally, after: Tally, baseline: str) -> Table:
    table = Table(title="decisions by what was asked for; money in quote", title_justify="left")
    table.add_column("")
    for heading in (f"before ({baseline})", "after"):
        table.add_column(heading, justify="right")
    for name, ours, theirs in _counts(before, after):
        if ours or theirs:
            table.add_row(name, f"{ours:,}", f"{theirs:,}")
    table.add_row("equity", _shown(before.equity, money), _shown(after.equity, money))
    table.add_row("fees", _shown(before.fees, money), _shown(after.fees, money))
    drawdowns = (_shown(side.max_drawdown_pct, percent) for side in (before, after))
    table.add_row("largest drawdown", *drawdowns)
    return table


def _counts(before: Tally, after: Tally) -> Iterator[tuple[str, int, int]]:
    """Every count with its name; those of a part add up to the line that is less indented."""
    yield "signals", before.signals, after.signals
    kinds = (("entries", before.entries, after.entries), ("exits", before.exits, after.exits))
    for kind, ours, theirs in kinds:
        yield f"  {kind} approved", ours.approved, theirs.approved
        yield f"  {kind} trimmed", ours.trimmed, theirs.trimmed
        yield f"  {kind} rejected", ours.rejected.total(), theirs.rejected.total()
        yield from _by_name(ours.rejected, theirs.rejected)
    yield "  undecided", before.undecided, after.undecided
    yield "risk's own exits", before.own_exits.total(), after.own_exits.total()
    yield from _by_name(before.own_exits, after.own_exits)
    yield "orders", before.orders, after.orders
    yield "fills", before.fills, after.fills


def _by_name(ours: Counter[str], theirs: Counter[str]) -> Iterator[tuple[str, int, int]]:
    for name, _ in (ours + theirs).most_common():
        yield f"    {name}", ours[name], theirs[name]


def _shown(value: Decimal | None, text: Callable[[Decimal], str]) -> str:
    return "-" if value is None else text(value)


def _show_first(first: Difference, cause: bytes | None) -> None:
    say(f"the first that differs ({first.change}), at {moment(first.decision.timestamp)}:")
    if cause:
        event = decode(cause)
        say(f"    caused by {narration.figures_of(event)[0]} ({event.event_id})")
    say("    - before, + after")
    for line in compared(first.before, first.after):
        say(f"    {line}")


def _show_list(found: Compared) -> None:
    """The first differences, without those that only have other figures."""
    weighty = [d for d in found.differences if d.change is not Change.FIGURES]
    if not weighty:
        return
    listing = Table("time (UTC)", "change", "before", "after", title="decisions that differ")
    for difference in weighty[:SHOWN]:
        listing.add_row(
            moment(difference.decision.timestamp).removesuffix(" UTC"),
            difference.change,
            _title(difference.before),
            _title(difference.after),
        )
    wide_console().print(listing)
    left = found.differ - found.by_change[Change.FIGURES] - len(weighty[:SHOWN])
    if left > 0:
        say(f"and {left:,} more; --json lists the first {KEPT:,}")
