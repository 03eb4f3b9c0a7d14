"""The benchmark's verbs: bench pipeline."""

import json
import os

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
}


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command(epilog="Example: claire bench pipeline --json")
@click.option(
    "--ticks", type=click.IntRange(min=10_000), default=300_000, show_default=True,
    help="Of the sustained-rate phase.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(min=10), default=60, show_default=True,
    help="Of each latency phase.",
)  # fmt: skip
@click.option("--rate", type=click.IntRange(min=100), default=1_000, show_default=True,
    help="Ticks per second of the latency phases.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line.")
def pipeline(ticks: int, seconds: int, rate: int, as_json: bool) -> None:
    """Latency and highest sustained rate of the whole pipeline, and the floor they stand on.

    Takes some minutes; run nothing else meanwhile. Its data is removed at the end.
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
        return
    table = Table(title="pipeline", title_justify="left")
    for heading in ("figure", "value", "goal"):
        table.add_column(heading, overflow="fold")
    for name, value in figures.items():
        shown = json.dumps(value) if isinstance(value, dict) else str(value)
        table.add_row(name, shown, GOALS.get(name, ""))
    wide_console().print(table)
