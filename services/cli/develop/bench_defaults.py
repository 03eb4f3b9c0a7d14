"""The verb bench defaults: what the default settings make of every file in a folder."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.table import Table

from services.cdb_ws.data_error import DataError
from services.cli.failure import Failure
from services.cli.json_option import last_line_json_option
from services.cli.run.run_options import read_settings
from services.cli.terminal import say, wide_console
from services.lab.bench.default_results import FileResult, market_files, play

Column = Callable[[FileResult], str]


def _halt(result: FileResult) -> str:
    if result.halted_at is None:
        return ""
    at = datetime.fromtimestamp(result.halted_at / 1000, UTC)
    return f"{at:%m-%d %H:%M} {result.halted_for}"


COLUMNS: Final[dict[str, Column]] = {
    "file": lambda r: r.file.removesuffix(".gz").removesuffix(".csv"),
    "days": lambda r: f"{r.days:.1f}",
    "ticks": lambda r: f"{r.ticks:,}",
    "signals": lambda r: f"{r.entry_signals:,}",
    "entries": lambda r: f"{r.entries:,}",
    "fees": lambda r: _money(r.costs.fees),
    "spread": lambda r: _money(r.costs.spread),
    "impact": lambda r: _money(r.costs.impact),
    "funding": lambda r: _money(-r.costs.funding),
    "costs %": lambda r: f"{r.paid_pct * 100:.2f}",
    "net": lambda r: _money(r.net),
    "equity": lambda r: _money(r.equity),
    "drawdown %": lambda r: f"{r.max_drawdown_pct * 100:.2f}",
    "halted": _halt,
    "drift bp": lambda r: " / ".join(_bp(one.bp) for one in r.drift.values()),
    "broken": lambda r: ", ".join(f"{number} {rule}" for rule, number in r.broken.items()) or "0",
}
"""Costs are paid amounts; drift is that of entries, exits and stops, positive is against us; broken
are promises of margins and stops."""


@click.command(epilog="Example: claire bench defaults --data recorded/ --markdown > table.md")
@click.option("--data", "folders", multiple=True, required=True, metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of recorded files; may be repeated.",
)  # fmt: skip
@click.option("--instruments", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Contract details of their symbols.",
)  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE",
    help="A trading setting that differs from its default.",
)  # fmt: skip
@click.option("--only", default="", metavar="TEXT", help="Files whose name contains it.")
@click.option("--markdown", is_flag=True, help="Print the table for a document.")
@last_line_json_option
def defaults(
    folders: tuple[Path, ...],
    instruments: Path | None,
    assignments: tuple[str, ...],
    only: str,
    markdown: bool,
    as_json: bool,
) -> None:
    """What the default settings make of recorded files: signals, trades, costs, result.

    Each file of trades or bars is played alone through the stages, in this process, with quotes and
    funding rates of the same venue and symbol. A month of minute bars takes some ten seconds.
    """
    values = read_settings(assignments)
    found: list[FileResult] = []
    try:
        runs = [run for folder in folders for run in market_files(folder)]
    except DataError as error:
        raise Failure(str(error)) from None
    for paths in runs:
        if only not in paths[0].name:
            continue
        say(f"{paths[0].name} ...", err=True)
        try:
            found.append(play(paths, values, instruments))
        except DataError as error:
            found.append(FileResult(file=paths[0].name, problem=str(error)))
    if as_json:
        say(msgspec.json.encode({"files": [_plain(result) for result in found]}).decode())
    elif markdown:
        say("\n".join(_markdown(found)))
    else:
        _show(found)


def _plain(result: FileResult) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(result)
    return plain | {
        "costs_paid": result.paid,
        "costs_pct": result.paid_pct,
        "net": result.net,
        "fill_drift_bp": {kind: drift.bp for kind, drift in result.drift.items()},
    }


def _rows(found: Sequence[FileResult]) -> list[list[str]]:
    played = [result for result in found if result.problem is None]
    return [[column(result) for column in COLUMNS.values()] for result in played]


def _refused(found: Sequence[FileResult]) -> list[str]:
    return [f"not played: {result.problem}" for result in found if result.problem]


def _show(found: Sequence[FileResult]) -> None:
    console = wide_console()
    table = Table(title="the default settings on recorded files", title_justify="left")
    for heading in COLUMNS:
        table.add_column(heading, justify="left" if heading in ("file", "halted") else "right")
    for row in _rows(found):
        table.add_row(*row)
    console.print(table)
    for line in _refused(found):
        say(line)


def _markdown(found: Sequence[FileResult]) -> list[str]:
    rules = ["---" if heading in ("file", "halted") else "---:" for heading in COLUMNS]
    lines = [list(COLUMNS), rules, *_rows(found)]
    refused = [f"- {line}" for line in _refused(found)]
    return [*(f"| {' | '.join(line)} |" for line in lines), *([""] if refused else []), *refused]


def _money(amount: Decimal) -> str:
    return f"{amount:,.0f}" if round(amount) else "0"


def _bp(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.1f}"
