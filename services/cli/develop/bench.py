"""The benchmark's verbs: bench pipeline, kernel, feed, store; bench defaults beside it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.table import Table

from services.cli.develop.bench_defaults import defaults
from services.cli.failure import Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.json_option import last_line_json_option
from services.cli.terminal import say, wide_console
from services.lab.bench import feed_bench, kernel_bench, pipeline_bench
from services.lab.bench.feed_bench import BenchError, FeedPlan
from services.lab.bench.store import store_bench
from services.runtime.database.connections import DatabaseAwayError, DatabaseRefusedError
from services.runtime.embedded.binaries import NoServerBinaryError
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.process import EmbeddedServerError
from services.runtime.embedded.session import SessionError

GOALS = {
    "sustained_ticks_per_s": "20,000 on two cores",
    "p50_ms": "at most twice the floor's",
    "p99_ms": "at most 25",
    "p50_ratio_to_floor": "at most 2",
    "lost": "0",
    "duplicates": "0",
}
FEED_GOALS = {
    "frames_per_cpu_s": "at least a third of the floor's",
    "ratio_to_floor": "at least 0.333",
    "trades_per_s": "what is offered, 5,000",
    "cpu_share": "below 1: one core",
    "rss_slope_kb_per_minute": "0 over 30 minutes",
}
STORE_GOALS = {
    "verify.busy.events_per_s": "50,000 on one core",
    "verify.quoted.events_per_s": "50,000 on one core",
    "verify.busy.divergences": "0",
    "verify.quoted.divergences": "0",
    "validate.findings": "0",
    "explain.p99_ms": "below 300",
    "writer.ticks_per_s": "10,000",
    "writer.decisions_per_s": "1,000",
    "writer.lost_or_doubled.ticks": "0",
    "writer.lost_or_doubled.decisions": "0",
    "writer.memory.slope_mb_per_minute": "flat",
    "restart.services_s": "5 with a million events behind",
    "restart.machine_s": "5 with a million events behind",
}
CPU = "cpu_us_per_tick"
_EXPECTED = (
    BenchError,
    DatabaseAwayError,
    DatabaseRefusedError,
    EmbeddedServerError,
    HomeError,
    NoServerBinaryError,
    SessionError,
)


@click.group()
def bench() -> None:
    """Measure this machine."""


bench.add_command(defaults)


@bench.command(epilog="Example: claire bench pipeline --json")
@click.option(
    "--ticks", type=click.IntRange(min=10_000), default=250_000, show_default=True,
    help="Of the sustained-rate phase.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(min=2), default=60, show_default=True,
    help="Of the latency phase, warm-up (18 s at 1,000 ticks/s) not counted; the floor's is half.",
)  # fmt: skip
@click.option("--rate", type=click.IntRange(min=100), default=1_000, show_default=True,
    help="Ticks per second of the latency phases.",
)  # fmt: skip
@last_line_json_option
def pipeline(ticks: int, seconds: int, rate: int, as_json: bool) -> None:
    """Latency and highest sustained rate of the whole pipeline, and the floor they stand on.

    Takes about three minutes; run nothing else meanwhile. Its data is removed at the end.
    """
    home = Home.from_environment(os.environ)
    plan = pipeline_bench.BenchPlan(ticks, seconds, rate)
    with _stoppable():
        figures = pipeline_bench.run(home.folder / "bench", plan, _say)
    if as_json:
        say(json.dumps(figures))
    else:
        _show(figures)


@bench.command(epilog="Example: claire bench kernel --json")
@click.option(
    "--ticks", type=click.IntRange(min=1_000), default=200_000, show_default=True,
    help="Into the risk stage alone, and into all stages together.",
)  # fmt: skip
@click.option(
    "--decisions", type=click.IntRange(min=100), default=10_000, show_default=True,
    help="Entry signals into the risk stage.",
)  # fmt: skip
@last_line_json_option
def kernel(ticks: int, decisions: int, as_json: bool) -> None:
    """Ticks and decisions per second of the stages on one core, and their ten largest costs.

    No bus and no server; takes about a minute.
    """
    figures = kernel_bench.run(ticks, decisions)
    if as_json:
        say(json.dumps(figures))
        return
    console = wide_console()
    table = Table(title="kernel, one core", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        if isinstance(value, int | float):
            table.add_row(name, f"{value:,}")
    console.print(table)
    for name in ("profile_ticks", "profile_decisions"):
        console.print(_largest_costs(name, figures[name]))


def _largest_costs(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title.replace("_", " of "), title_justify="left")
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


@bench.command(epilog="Example: claire bench feed --json")
@click.option("--symbols", type=click.IntRange(1, 5_000), default=1_200, show_default=True,
    help="Contracts of the market.",
)  # fmt: skip
@click.option("--rate", type=click.IntRange(min=1), default=5_000, show_default=True,
    help="Trades per second, all contracts together.",
)  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0.1), default=1.0, show_default=True,
    help="Of the phase with cdb_ws; 30 shows whether memory grows.",
)  # fmt: skip
@last_line_json_option
def feed(symbols: int, rate: int, minutes: float, as_json: bool) -> None:
    """What one cdb_ws takes from the fake exchange on loopback, and the floor it stands on.

    The floor receives the same frames and parses them as JSON, no more. Rates per cpu second are
    those of one core of its own. Run nothing else meanwhile.
    """
    folder = Home.from_environment(os.environ).folder / "bench-feed"
    plan = FeedPlan(symbols=symbols, trades_per_s=rate, seconds=max(5, round(minutes * 60)))
    with _stoppable():
        figures = feed_bench.run(folder, plan, _say)
    if as_json:
        say(json.dumps(figures))
    else:
        wide_console().print(_figures_table("feed", figures, FEED_GOALS))


@bench.command(epilog="Example: claire bench store --rows 1000000 --json")
@click.option(
    "--rows", type=click.IntRange(min=0), default=10_000_000, show_default=True,
    help="Of events and market_data when ids are explained; ten million take about 6 GB meanwhile.",
)  # fmt: skip
@click.option(
    "--events", type=click.IntRange(min=5_000), default=200_000, show_default=True,
    help="Ticks and clocks of each of the two runs that are verified.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(min=2), default=60, show_default=True,
    help="How long the writer gets ticks and decisions.",
)  # fmt: skip
@click.option(
    "--behind", type=click.IntRange(min=0), default=1_000_000, show_default=True,
    help="Events on the record when services and servers are killed; 0 leaves that out.",
)  # fmt: skip
@last_line_json_option
def store(rows: int, events: int, seconds: int, behind: int, as_json: bool) -> None:
    """Speed of the record: verify, validate, explain on a large database, the writer, restarts.

    Takes about a quarter of an hour; run nothing else meanwhile. Its data is removed at the end.
    """
    home = Home.from_environment(os.environ)
    plan = store_bench.StorePlan(events, rows, writer_seconds=seconds, behind=behind)
    with _stoppable():
        figures = store_bench.run(home.folder / "bench", plan, _say)
    if as_json:
        say(json.dumps(figures))
    else:
        _show_store(figures)


def _say(line: str) -> None:
    say(line, err=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """What may go wrong with a benchmark, and the person who has seen enough."""
    try:
        with sigterm_as_interrupt():
            yield
    except _EXPECTED as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("stopped; nothing is left running") from None


def _show_store(figures: Mapping[str, Any]) -> None:
    table = Table(title="store", title_justify="left")
    for heading in ("figure", "value", "goal"):
        table.add_column(heading, overflow="fold")
    for name, value in _flat(figures):
        shown = f"{value:,}" if isinstance(value, int | float) else str(value)
        table.add_row(name, shown, STORE_GOALS.get(name, ""))
    wide_console().print(table)


def _flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _show(figures: Mapping[str, Any]) -> None:
    console = wide_console()
    shown = {name: value for name, value in figures.items() if name != CPU}
    console.print(_figures_table("pipeline", shown, GOALS))
    console.print(_where_the_time_goes(figures[CPU]))


def _figures_table(title: str, figures: Mapping[str, Any], goals: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "value", "goal"):
        table.add_column(heading, overflow="fold")
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int | float) else json.dumps(value)
        table.add_row(name, shown, goals.get(name, ""))
    return table


def _where_the_time_goes(phases: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="processor time, us per tick", title_justify="left")
    table.add_column("process")
    for phase in phases:
        table.add_column(phase, justify="right")
    for name in next(iter(phases.values())):
        table.add_row(name, *(f"{used.get(name, 0.0):.1f}" for used in phases.values()))
    table.add_section()
    table.add_row("together", *(f"{sum(used.values()):.1f}" for used in phases.values()))
    return table
