"""The verb backtest: the live decisions on recorded data, in one process."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn

from services.backtest import events_engine, fast_engine, store
from services.backtest.events_engine import Progress, fresh_run
from services.backtest.identity import digests, run_id_of
from services.cdb_ws.data_error import DataError
from services.cdb_ws.run_plan import RunPlan
from services.cdb_ws.sources.markets import open_market
from services.cdb_ws.sources.recorded import RecordedSource
from services.cdb_ws.sources.synthetic import Synthetic
from services.cli.failure import BadInput, Failure
from services.cli.json_option import last_line_json_option
from services.cli.look.performance_table import show_performance
from services.cli.run.live_summary import show_result
from services.cli.run.market_options import check_combination, load
from services.cli.run.run_options import Duration, out_of_range, read_settings
from services.cli.terminal import SafeConsole, say
from services.explain.figures import moment
from services.kernel.events import RunStarted
from services.reports.observed_result import result_of
from services.reports.performance import performance_of
from services.reports.run_facts import RunFacts
from services.reports.run_observer import RunObserver
from services.runtime.embedded.home import Home
from services.runtime.service.code_version import code_version
from services.runtime.settings.model import Settings

SYNTHETIC_SECONDS: Final = 86_400
"""How much of the synthetic market is played where no duration is given: one day."""

ENGINES: Final[Mapping[str, Callable[[RunStarted, RecordedSource, int, Progress], RunObserver]]] = {
    events_engine.ENGINE: events_engine.play,
    fast_engine.ENGINE: fast_engine.play,
}

EPILOG = """\b
Examples:
  claire backtest
  claire backtest --data mexc-spot_DOGEUSDT_klines_1m.csv.gz --set STOP_LOSS_PCT=0.03
  claire backtest --data a.csv.gz --data b.csv.gz --duration 7d --json
  claire backtest --data .claire/recordings/2026-11-21
  claire report last
"""


@click.command(epilog=EPILOG)
@click.option(
    "--data",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file, a data set, a recording or a day of one; repeatable. Without it: the synthetic"
    " market.",
)
@click.option("--symbols", help="Symbols of the synthetic market, separated by commas.")
@click.option(
    "--instruments",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Contract details of the data's symbols.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the synthetic market.")
@click.option("--duration", type=Duration(), help="Market time until the run ends: 15m, 2h, 7d.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting.")
@click.option(
    "--engine",
    type=click.Choice(sorted(ENGINES)),
    default="events",
    show_default=True,
    help="`events` feeds every tick to the live stages; `fast` skips those on which nothing can"
    " happen, with the same result.",
)
@last_line_json_option
def backtest(
    files: tuple[Path, ...],
    symbols: str | None,
    instruments: Path | None,
    seed: int | None,
    duration: int | None,
    assignments: tuple[str, ...],
    engine: str,
    as_json: bool,
) -> None:
    """Run the live stages over recorded data in one process, without servers.

    The decisions are those of `claire run-paper --speed max` on the same data: both print one
    decisions_hash. The run is kept in CLAIRE_HOME (.claire) for `claire report`.
    """
    if symbols and files:
        raise BadInput(
            "--symbols is for the synthetic market; a backtest trades its data's symbols"
        )
    source = "replay" if files else "synthetic"
    check_combination(source, files, instruments)
    if not files and duration is None:
        duration = SYNTHETIC_SECONDS
    chosen = {
        "CDB_SOURCE": source,
        "CDB_SPEED": "max",
        "CDB_DATA": json.dumps([str(path.absolute()) for path in files]) if files else "",
        "CDB_INSTRUMENTS": str(instruments.absolute()) if instruments else "",
        "CDB_SEED": "" if seed is None else str(seed),
        "CDB_DURATION": "" if duration is None else str(duration),
        "SYMBOL_WHITELIST": symbols or "",
    }
    given = {name: value for name, value in chosen.items() if value} | read_settings(assignments)
    settings = load(given)
    for line in out_of_range(given):
        say(f"warning: {line}", err=True)
    facts = _played(settings, engine, quiet=as_json)
    path = _kept(facts)
    result = result_of(facts)
    if as_json:
        body = result.to_json() | {"engine": engine} | _data(facts)
        body["statistics"] = performance_of(facts).to_json()
        say(json.dumps(body))
        return
    show_result(result)
    show_performance(performance_of(facts))
    say(f"{facts.ticks / max(facts.seconds, 0.001):,.0f} ticks/s; kept in {path}")
    say(f"look at it: claire report {facts.run_id[:12]}")


def _played(settings: Settings, engine: str, *, quiet: bool) -> RunFacts:
    wanted, seed = settings.run_settings(), settings.cdb_seed
    try:
        data = digests(settings.cdb_data)
        run_id = run_id_of(wanted, data, code_version=code_version(), seed=seed)
        market = _market(settings, run_id)
        run = fresh_run(
            run_id,
            wanted,
            at=market.first_timestamp,
            source=settings.cdb_source,
            seed=seed,
            code_version=code_version(),
        )
        if not data and not quiet:
            say(_synthetic_note(run))
        began = time.perf_counter()
        with _progress() as progress:
            observer = ENGINES[engine](run, market, (settings.cdb_duration or 0) * 1000, progress)
        facts = observer.facts()
        facts.seconds = time.perf_counter() - began
    except (DataError, OSError) as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("stopped; nothing was kept") from None
    facts.data = data
    return facts


def _market(settings: Settings, run_id: str) -> RecordedSource:
    wanted = settings.run_settings()
    plan = RunPlan.read(run_id, settings.cdb_source, settings.cdb_seed, wanted)
    if settings.cdb_source == "synthetic":
        return Synthetic(run_id, plan.seed, plan.symbols, plan.lookback_minutes)
    return open_market(
        settings.cdb_data, run_id, settings.cdb_instruments, behind_ms=plan.behind_ms
    )


def _synthetic_note(run: RunStarted) -> str:
    hours = int(run.settings["CDB_DURATION"]) / 3600
    return (
        f"no --data: the synthetic market, seed {run.seed}, {hours:g} h; its figures say nothing"
        " about a real market"
    )


def _data(facts: RunFacts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "source": facts.started.source,
        "data": [file._asdict() for file in facts.data],
        "ticks_per_s": round(facts.ticks / max(facts.seconds, 0.001)),
    }
    if not facts.data:
        found["synthetic"] = _synthetic_note(facts.started)
    return found


def _kept(facts: RunFacts) -> Path:
    try:
        return store.save(Home.from_environment(os.environ).folder, facts)
    except OSError as error:
        why = f"the backtest cannot be kept ({error}); free space or set CLAIRE_HOME"
        raise Failure(why) from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """Ticks and event time on a terminal."""
    console = SafeConsole(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task, began = bar.add_task("reading", total=None), time.perf_counter()

        def show(ticks: int, at: int) -> None:
            rate = ticks / max(time.perf_counter() - began, 0.001)
            shown = f"{moment(at)[:16]}  {ticks:,} ticks  {rate:,.0f}/s" if at else "reading"
            bar.update(task, description=shown)

        yield show
