"""The benchmark's verbs: bench pipeline."""

import json
import os
from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from services.cli.failure import Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.terminal import wide_console
from services.research import bench_pipeline
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.session import SessionError

GOALS = {
    "sustained_ticks_per_s": "20,000 on two cores",
    "p50_ms": "at most twice the floor's",
    "p99_ms": "at most 25",
    "p50_ratio_to_floor": "at most 2",
    "lost": "0",
    "duplicates": "0",
}
CPU = "cpu_us_per_tick"


@click.group()
def bench() -> None:
    """Measure this machine."""


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line.")
def pipeline(ticks: int, seconds: int, rate: int, as_json: bool) -> None:
    """Latency and highest sustained rate of the whole pipeline, and the floor they stand on.

    Takes about three minutes; run nothing else meanwhile. Its data is removed at the end.
    """
    home = Home.from_environment(os.environ)
    plan = bench_pipeline.BenchPlan(ticks, seconds, rate)
    try:
        with sigterm_as_interrupt():
            figures = bench_pipeline.run(
                home.folder / "bench", plan, lambda line: click.echo(line, err=True)
            )
    except (HomeError, SessionError) as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("stopped; nothing is left running") from None
    if as_json:
        click.echo(json.dumps(figures))
    else:
        _show(figures)


def _show(figures: Mapping[str, Any]) -> None:
    console = wide_console()
    table = Table(title="pipeline", title_justify="left")
    for heading in ("figure", "value", "goal"):
        table.add_column(heading, overflow="fold")
    for name, value in figures.items():
        if name != CPU:
            shown = f"{value:,}" if isinstance(value, int | float) else json.dumps(value)
            table.add_row(name, shown, GOALS.get(name, ""))
    console.print(table)
    console.print(_where_the_time_goes(figures[CPU]))


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
