"""The verb run-paper: options in, live summary and result out."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import click

from services.cli.failure import BadInput, Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.run.home_check import Wanted
from services.cli.run.live_summary import LiveSummary, show_result
from services.cli.run.market_options import check_combination, effective, first_tick, load
from services.cli.run.paper_run import PaperRun, RunPlan
from services.cli.run.run_options import (
    ControlEntry,
    Duration,
    Speed,
    out_of_range,
    read_control_file,
    read_settings,
)
from services.cli.terminal import say
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.session import SessionError
from services.runtime.service.code_version import code_version

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DATA = click.Path(path_type=Path)
DEFAULT_SPEEDS = {"replay": "max", "synthetic": "60"}

EPILOG = """\b
Examples:
  claire run-paper --fresh --source synthetic --speed 60
  claire run-paper --fresh --source replay --data trades.csv.gz --speed max --json
  claire run-paper --data a.csv.gz --data b.csv.gz --set LOOKBACK_MINUTES=5
  claire run-paper --fresh --data .claire/recordings/2026-11-21
  claire run-paper --source mexc --symbols BTC_USDT,ETH_USDT --duration 2h
"""


@click.command(epilog=EPILOG)
@click.option(
    "--source",
    type=click.Choice(["synthetic", "replay", "mexc", "external"]),
    help="The market; without it replay if --data is given, else synthetic.",
)
@click.option(
    "--data",
    "files",
    type=DATA,
    multiple=True,
    help="What to replay: a file, a data set, a recording or a day of one; repeatable.",
)
@click.option("--symbols", help="Symbols to trade, separated by commas.")
@click.option("--instruments", type=FILE, help="Contract details of replayed symbols.")
@click.option(
    "--speed",
    type=Speed(),
    help="Market seconds per second, or max (lock-step); without it max for a replay, 60 for the"
    " synthetic market.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the synthetic market.")
@click.option("--duration", type=Duration(), help="Market time until the run ends: 90s, 15m, 2h.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting.")
@click.option(
    "--control",
    type=FILE,
    help='JSON lines of operator commands: {"at": ms, "command": "reset", "reason": "..."}.',
)
@click.option("--record", "recording", type=FOLDER, help="Folder to record the market in.")
@click.option("--fresh", is_flag=True, help="Begin again: remove the home's former runs.")
@click.option(
    "--console/--no-console",
    default=None,
    help="Start the web console; without it, unless --json is given.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object at the end.")
def run_paper(
    source: str | None,
    files: tuple[Path, ...],
    symbols: str | None,
    instruments: Path | None,
    speed: str | None,
    seed: int | None,
    duration: int | None,
    assignments: tuple[str, ...],
    control: Path | None,
    recording: Path | None,
    fresh: bool,
    console: bool | None,
    as_json: bool,
) -> None:
    """Trade on paper without Docker: servers and services start, run, and stop with this command.

    Ends with the data, the duration, or Ctrl-C. The data stays in CLAIRE_HOME (.claire).
    """
    source = source or ("replay" if files else "synthetic")
    check_combination(source, files, instruments)
    chosen = {
        "CDB_SOURCE": source,
        "CDB_SPEED": speed or DEFAULT_SPEEDS.get(source, "1"),
        "CDB_DATA": json.dumps([str(path.absolute()) for path in files]) if files else "",
        "CDB_INSTRUMENTS": str(instruments.absolute()) if instruments else "",
        "CDB_SEED": "" if seed is None else str(seed),
        "CDB_DURATION": "" if duration is None else str(duration),
        "SYMBOL_WHITELIST": symbols or "",
        "CDB_CACHE_DIR": str(Home.from_environment(os.environ).folder / "cache"),
        "RECORD": "1" if recording else "",
        "RECORD_DIR": str(recording.absolute()) if recording else "",
    }
    given = {name: value for name, value in chosen.items() if value} | read_settings(assignments)
    entries = _control(control)
    given |= {"CDB_HOLD_AT": ",".join(str(entry.at) for entry in entries)} if entries else {}
    settings = load(given)
    _warn(out_of_range(given))
    plan = RunPlan(
        settings=effective(given),
        wanted=Wanted(
            settings.run_settings(), settings.cdb_seed, code_version(), first_tick(settings)
        ),
        control=entries,
        fresh=fresh,
        console=not as_json if console is None else console,
    )
    _run(plan, as_json=as_json)
    _pack(recording)


def _pack(folder: Path | None) -> None:
    """Pack what the recorder had no time for when the services ended."""
    if folder is None or not folder.is_dir():
        return
    # Only runs that record load the Parquet library.
    from services.cdb_ws.recording import packing, store  # noqa: PLC0415

    with contextlib.suppress(store.FolderBusyError):
        packing.pack(folder.absolute())


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        say(f"warning: {line}", err=True)


def _control(path: Path | None) -> tuple[ControlEntry, ...]:
    if path is None:
        return ()
    try:
        return read_control_file(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read ({error}); give a file of JSON lines") from None


def _run(plan: RunPlan, *, as_json: bool) -> None:
    try:
        with sigterm_as_interrupt(), LiveSummary(quiet=as_json) as summary:
            home = Home.from_environment(os.environ)
            result = PaperRun(home, plan, summary.update).execute()
    except (HomeError, SessionError) as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("stopped before a run had started; nothing is left running") from None
    if as_json:
        say(json.dumps(result.to_json()))
    else:
        show_result(result)
