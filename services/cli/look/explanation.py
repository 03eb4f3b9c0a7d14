"""Questions to the record: explain, trace, why."""

import json
from collections import Counter
from collections.abc import Mapping

import click
from rich.text import Text
from rich.tree import Tree

from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.record_access import open_database_record, run_option
from services.cli.target import Where, on_option
from services.cli.terminal import say, wide_console
from services.cli.utc_time import UtcTime
from services.explain.answered import Answered
from services.explain.archive import Archive, UnknownIdError
from services.explain.event_line import describe
from services.explain.figures import moment
from services.explain.funnel import Funnel, Part, funnel
from services.explain.remedies import miss_line, remedies
from services.explain.story import Node, event_tree
from services.kernel.reasons import Reason
from services.record.reading import RecordError
from services.record.runs import choose_run, runs_of


@click.command(epilog="Example: claire explain 37218302898c7498c6327d7ece261b51")
@click.argument("identity", metavar="ID")
@on_option
@json_option
def explain(identity: str, where: Where | None, as_json: bool) -> None:
    """Show the story of a signal, decision, order, trade, alert or event: cause and effects.

    ID may be the beginning of an id.
    """
    with open_database_record(where) as record:
        archive = Archive(record.connection)
        try:
            story = event_tree(archive, archive.find(identity))
        except UnknownIdError as error:
            raise Failure(str(error)) from None
    if as_json:
        say(json.dumps(story.to_json()))
    else:
        wide_console().print(_tree(story))


def _tree(node: Node) -> Tree:
    tree = Tree(_label(node))
    _grow(tree, node)
    return tree


def _grow(tree: Tree, node: Node) -> None:
    for child in node.children:
        _grow(tree.add(_label(child)), child)


def _label(node: Node) -> Text:
    mark = " <- asked for" if node.subject else ""
    label = Text(node.title + mark, style="bold")
    for line in node.lines:
        label.append(f"\n{line}", style="not bold")
    return label


@click.command(epilog="Example: claire trace 37218302898c7498c6327d7ece261b51")
@click.argument("correlation_id")
@on_option
@json_option
def trace(correlation_id: str, where: Where | None, as_json: bool) -> None:
    """List everything that one signal led to, in order, with the time each step took."""
    with open_database_record(where) as record:
        archive = Archive(record.connection)
        events = archive.story_of(correlation_id)
        if not events:
            try:
                found = archive.find(correlation_id)
            except UnknownIdError as error:
                raise Failure(str(error)) from None
            events = archive.story_of(found.correlation_id) if found.correlation_id else [found]
    if as_json:
        rows = [
            {"seq": e.seq, "topic": e.TOPIC, "timestamp": e.timestamp, "event_id": e.event_id}
            | {"causation_id": e.causation_id, "producer": e.producer, "text": describe(e)}
            for e in events
        ]
        say(json.dumps({"correlation_id": events[0].correlation_id, "events": rows}))
        return
    began = events[0].timestamp
    for event in events:
        after = f"+{event.timestamp - began} ms"
        say(
            f"{event.seq:>9} {moment(event.timestamp)} {after:>10} {event.producer:<14}"
            f" {event.TOPIC:<15} {describe(event)}"
        )


@click.command(epilog="Example: claire why --since 2026-05-21")
@on_option
@run_option
@click.option("--since", type=UtcTime(), default=0, help="From this event time on (UTC).")
@json_option
def why(where: Where | None, run_id: str | None, since: int, as_json: bool) -> None:
    """Say why there are trades or none: ticks, signals, decisions by reason, orders, results.

    The sums always add up; the nearest misses and what would have to change follow.
    """
    with open_database_record(where) as record:
        try:
            run = choose_run(runs_of(record), run_id).run_id if run_id else None
        except RecordError as error:
            raise Failure(str(error)) from None
        found = funnel(record.connection, Part(run, since))
    if as_json:
        say(json.dumps(found.to_json() | {"what_would_change_it": remedies(found)}))
        return
    show_funnel(found)
    say("what would have to change for more trades:")
    for line in remedies(found):
        say(f"  {line}")
    say("nearest misses:" if found.nearest else "nearest misses: no entry failed at a limit")
    for miss in found.nearest:
        say(f"  {moment(miss.at)} {miss.event_id[:12]} {miss_line(miss)}")


def show_funnel(found: Funnel) -> None:
    """Print the funnel, one line for each step."""
    if found.began is not None and found.ended is not None:
        say(f"the market of {moment(found.began)} to {moment(found.ended)}")
    entries = found.signals - found.exits
    own = sum(found.own_exits.values())
    rows = [
        ("ticks", found.ticks, f"of which trades the strategy acts on {found.trades_seen:,}"),
        ("signals", found.signals, f"entries {entries:,}, exits {found.exits:,}"),
        ("on entries", found.on_entries.total, _answers(found.on_entries)),
        ("on exits", found.on_exits.total - found.nothing_to_reduce, _answers(_met(found))),
        (
            "no position",
            found.nothing_to_reduce,
            "exits of the strategy with nothing to reduce; rejected, and no trade was lost",
        ),
        ("undecided", found.undecided, "signals without a decision"),
        (
            "orders",
            found.orders,
            f"from entries {found.on_entries.passed:,}, from exits {found.on_exits.passed:,},"
            f" risk's own exits {own:,}{_by_name(found.own_exits)}, by hand {found.outside:,}",
        ),
        ("results", sum(found.results.values()), _listed(found.results) or "none"),
    ]
    for name, count, text in rows:
        if name not in ("undecided", "no position") or count:
            say(f"{name:<11} {count:>10,}  {text}")
    say("the sums add up" if found.adds_up else "THE SUMS DO NOT ADD UP: run `claire validate`")


def _answers(answered: Answered) -> str:
    rejected = f"rejected {answered.rejected.total():,}{_by_name(answered.rejected)}"
    return f"approved {answered.approved:,}, trimmed {answered.trimmed:,}, {rejected}"


def _met(found: Funnel) -> Answered:
    """How the exits that met an open position were decided."""
    answered = found.on_exits
    rejected = Counter(answered.rejected)
    del rejected[Reason.NOTHING_TO_REDUCE]
    return Answered(answered.approved, answered.trimmed, rejected)


def _by_name(counts: Mapping[str, int]) -> str:
    return f" ({_listed(counts)})" if counts else ""


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
