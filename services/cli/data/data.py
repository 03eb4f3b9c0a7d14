"""The verbs data ls and data check: what recorded and fetched data is there, and is it sound."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import packing, store, write_ahead_log
from services.cdb_ws.recording.selection import root_of
from services.cdb_ws.recording.store import FolderBusyError
from services.cli.data.data_fetch import fetch_data
from services.cli.data.data_import import import_data
from services.cli.data.data_options import FOLDER, data_folder, recordings_folder
from services.cli.failure import BadInput, Failure
from services.cli.json_option import last_line_json_option
from services.cli.terminal import say, wide_console
from services.datasets import check, coverage
from services.datasets.check import Report
from services.datasets.coverage import Coverage

PATH = click.Path(path_type=Path, exists=True)
SHOWN_HOLES = 20


@click.group()
def data() -> None:
    """Recorded, imported and fetched market data."""


@data.command("ls", epilog="Example: claire data ls .claire/recordings")
@click.argument("folders", type=FOLDER, nargs=-1)
@last_line_json_option
def list_data(folders: tuple[Path, ...], as_json: bool) -> None:
    """What data is there, from when to when, and how many holes it has.

    Without FOLDERS: the data sets and recordings in CLAIRE_HOME.
    """
    chosen = folders or (data_folder(), recordings_folder())
    try:
        found = [one for folder in chosen for one in coverage.coverage(folder)]
    except DataError as error:
        raise Failure(str(error)) from None
    if as_json:
        say(json.dumps({"data": msgspec.to_builtins(found)}))
        return
    if not found:
        say(f"no data in {', '.join(map(str, chosen))}; `claire record` or data fetch")
        return
    _show_coverage(found)


def _show_coverage(found: Iterable[Coverage]) -> None:
    table = Table()
    headings = ("where", "symbol", "what", "from (UTC)", "to (UTC)", "days", "rows", "MB", "holes")
    for heading in headings:
        numeric = heading in ("days", "rows", "MB", "holes")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for one in found:
        table.add_row(
            one.what,
            one.symbol,
            one.content,
            _when(one.first_ms),
            _when(one.last_ms),
            str(one.days),
            f"{one.rows:,}",
            f"{one.bytes / 1e6:,.1f}",
            str(one.holes),
        )
        if one.waiting:
            table.add_row("", "", f"{one.waiting / 1e6:,.1f} MB not packed yet")
    wide_console().print(table)


@data.command("check", epilog="Example: claire data check .claire/recordings --repair")
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option(
    "--repair", is_flag=True, help="First pack what a killed recorder left; recordings only."
)
@last_line_json_option
def check_data(paths: tuple[Path, ...], repair: bool, as_json: bool) -> None:
    """Content, order, duplicates, holes and impossible prices of recordings, data sets and files.

    Exit code 1 if something is wrong; holes are listed, and are not wrong.
    """
    try:
        for path in paths if repair else ():
            _repair(path)
        reports = [check.check(one) for path in paths for one in _checkable(path)]
    except DataError as error:
        raise Failure(str(error)) from None
    if as_json:
        say(json.dumps({"checked": [_as_json(report) for report in reports]}))
    else:
        for report in reports:
            _show_report(report)
    if not all(report.sound for report in reports):
        raise click.exceptions.Exit(1)


def _repair(path: Path) -> None:
    root = root_of(path)
    if root is None:
        raise BadInput(f"{path} is no recording: --repair is for recordings")
    try:
        left = write_ahead_log.repair(root)
        packed = packing.pack(root)
    except (FolderBusyError, OSError) as error:
        raise Failure(str(error)) from None
    say(f"{root}: {left} unfinished, {packed} packed", err=True)


def _checkable(path: Path) -> list[Path]:
    """A recording, data set or file as it is; of a folder its recordings and data sets."""
    if not path.is_dir() or root_of(path) or (path / store.MANIFEST).is_file():
        return [path]
    inner = sorted(folder for folder in path.iterdir() if folder.is_dir())
    found = [one for one in inner if root_of(one) or (one / store.MANIFEST).is_file()]
    if not found:
        raise BadInput(f"{path} holds neither recordings nor data sets")
    return found


def _as_json(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(report)
    return {"sound": report.sound} | found


def _show_report(report: Report) -> None:
    console = wide_console()
    verdict = ("sound", "green") if report.sound else ("not sound", "red")
    counts = f", {report.rows:,} rows, {len(report.holes)} holes"
    console.print(Text.assemble(f"{report.path}: ", verdict, counts))
    for line in report.wrong[:SHOWN_HOLES]:
        console.print(Text.assemble("  ", ("wrong", "red"), f" {line}"))
    if len(report.wrong) > SHOWN_HOLES:
        console.print(f"  and {len(report.wrong) - SHOWN_HOLES} more (--json lists all)")
    for what, count in sorted(report.odd.items()):
        console.print(f"  {count:,} x {what}")
    for hole in report.holes[:SHOWN_HOLES]:
        seconds = (hole.to_ms - hole.from_ms) / 1000
        console.print(
            f"  hole {hole.symbol} {_when(hole.from_ms)} - {_when(hole.to_ms)}"
            f" ({seconds:,.0f} s): {hole.why}",
            highlight=False,
        )
    if len(report.holes) > SHOWN_HOLES:
        console.print(f"  and {len(report.holes) - SHOWN_HOLES} more (--json lists all)")


def _when(timestamp: int) -> str:
    if not timestamp:
        return ""
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


data.add_command(import_data)
data.add_command(fetch_data)
