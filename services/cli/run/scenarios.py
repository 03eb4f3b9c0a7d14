"""The verb run-scenarios: written market situations against the real stages."""

import json
from collections import Counter
from pathlib import Path

import click
import msgspec
from rich.progress import track
from rich.table import Table
from rich.text import Text

from services.cli.failure import BadInput
from services.cli.json_option import last_line_json_option
from services.cli.terminal import SafeConsole, say, wide_console
from services.scenarios import runner
from services.scenarios.runner import Outcome
from services.scenarios.scenario import ScenarioError

STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


@click.command(epilog="Example: claire run-scenarios scenarios/ --json")
@click.argument(
    "places", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE.yaml | FOLDER]..."
)
@last_line_json_option
def run_scenarios(places: tuple[Path, ...], as_json: bool) -> None:
    """Play market situations through the stages and compare with what is expected of each.

    Without an argument it plays the folder scenarios. Exits 1 when a scenario fails.
    """
    try:
        files = runner.find(places or (Path("scenarios"),))
        outcomes = [
            runner.play(file)
            for file in track(
                files, "playing", console=SafeConsole(stderr=True), transient=True, disable=as_json
            )
        ]
    except ScenarioError as error:
        raise BadInput(str(error)) from None
    counts = Counter(outcome.verdict for outcome in outcomes)
    if as_json:
        totals = {name: counts[name] for name in ("passed", "failed", "skipped")}
        body = totals | {
            "total": len(outcomes),
            "scenarios": [msgspec.to_builtins(outcome) for outcome in outcomes],
        }
        say(json.dumps(body))
    else:
        _show(outcomes)
    if counts["failed"]:
        raise click.exceptions.Exit(1)


def _show(outcomes: list[Outcome]) -> None:
    table = Table(title="scenarios", title_justify="left")
    for heading in ("scenario", "result", "entries", "exits", "halts", "drawdown", "seconds"):
        table.add_column(heading, overflow="fold")
    table.add_column("what was not as expected", overflow="fold")
    for outcome in outcomes:
        figures = outcome.figures
        broken = [f"{c.name}: {c.found}, not {c.wanted}" for c in outcome.broken]
        table.add_row(
            outcome.name,
            Text(outcome.verdict, style=STYLES[outcome.verdict]),
            figures.get("entries", ""),
            figures.get("exits", ""),
            figures.get("halts", ""),
            figures.get("max_drawdown_pct", ""),
            f"{outcome.seconds:.2f}",
            "\n".join(broken) or outcome.why or "",
        )
    wide_console().print(table)
    counts = Counter(outcome.verdict for outcome in outcomes)
    say(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped,"
        f" {len(outcomes)} in all"
    )
