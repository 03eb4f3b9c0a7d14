"""The verb run-paper: options in, live summary and result out."""

import json
import os
from pathlib import Path

import click

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.markets import open_market
from services.cdb_ws.sources.synthetic import START_MS
from services.cli.failure import BadInput, Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.run.home_check import Wanted
from services.cli.run.live_summary import LiveSummary, show_result
from services.cli.run.paper_run import PaperRun, RunPlan
from services.cli.run.run_options import (
    ControlEntry,
    Duration,
    Speed,
    out_of_range,
    read_control_file,
    read_settings,
)
from services.cli.target import environment_values
from services.cli.terminal import say
from services.kernel.settings.model import SettingError
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.session import SessionError
from services.runtime.service.code_version import code_version
from services.runtime.settings import model as runtime_settings
from services.runtime.settings.model import Settings

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DATA = click.Path(path_type=Path)
OPTIONS = (
    "CDB_SOURCE",
    "CDB_SPEED",
    "CDB_DATA",
    "CDB_INSTRUMENTS",
    "CDB_SEED",
    "CDB_DURATION",
    "CDB_HOLD_AT",
    "SYMBOL_WHITELIST",
    "CDB_CACHE_DIR",
    "RECORD",
    "RECORD_DIR",
)
"""Variables that this command's options decide."""
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
    as_json: bool,
) -> None:
    """Trade on paper without Docker: servers and services start, run, and stop with this command.

    Ends with the data, the duration, or Ctrl-C. The data stays in CLAIRE_HOME (.claire).
    """
    source = source or ("replay" if files else "synthetic")
    _check_combination(source, files, instruments)
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
    if entries:
        given["CDB_HOLD_AT"] = ",".join(str(entry.at) for entry in entries)
    settings = _load(given)
    for line in out_of_range(given):
        say(f"warning: {line}", err=True)
    plan = RunPlan(
        settings=_effective(given),
        wanted=Wanted(
            settings.run_settings(), settings.cdb_seed, code_version(), _first_tick(settings)
        ),
        control=entries,
        fresh=fresh,
    )
    _run(plan, as_json=as_json)


def _check_combination(source: str, files: tuple[Path, ...], instruments: Path | None) -> None:
    if source == "replay" and not files:
        raise BadInput("--source replay needs a file: give --data FILE")
    if source != "replay" and (files or instruments):
        raise BadInput(f"--data and --instruments are for --source replay, not {source}")
    missing = [path for path in (*files, instruments) if path and not path.exists()]
    if missing:
        raise BadInput(f"there is no file {missing[0]}; check the path")


def _load(given: dict[str, str]) -> Settings:
    try:
        settings = runtime_settings.load(environ=_effective({}), env_file=None, overrides=given)
        runtime_settings.refuse_contradictions(settings)
    except SettingError as error:
        raise Failure(str(error)) from None
    return settings


def _effective(given: dict[str, str]) -> dict[str, str]:
    """All that shapes the run, so that the services need neither .env nor our environment.

    What has an option of its own is never taken from there: a CDB_DATA that is meant for the
    containers must not end up in this run.
    """
    values = environment_values()
    names = runtime_settings.known_names() - set(runtime_settings.SECRETS)
    kept = {name: value for name, value in values.items() if name in names}
    for name in OPTIONS:
        kept.pop(name, None)
    return kept | given


def _first_tick(settings: Settings) -> int | None:
    """When the market begins; also finds what is wrong with a replay's files, before the start."""
    if settings.cdb_source == "synthetic":
        return START_MS
    if settings.cdb_source != "replay":
        return None
    try:
        return open_market(settings.cdb_data, "", settings.cdb_instruments).first_timestamp
    except DataError as error:
        raise Failure(str(error)) from None


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
