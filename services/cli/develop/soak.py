"""The soak's verbs: soak feed, soak system."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.progress import Progress
from rich.table import Table

from services.cli.failure import Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.json_option import last_line_json_option
from services.cli.terminal import SafeConsole, say, wide_console
from services.lab.simulation import system_soak
from services.lab.simulation.system_run import play as play_system
from services.lab.soak import feed_run, feed_soak
from services.lab.soak.seeds import be_quiet
from services.lab.soak.virtual_time import StuckError


@click.group()
def soak() -> None:
    """Prove what must hold on bad days, over and over, in virtual time."""


@soak.command(epilog="Examples: claire soak feed --seeds 1000 --json; claire soak feed --seed 17")
@click.option("--seeds", type=click.IntRange(min=1), default=100, show_default=True,
    help="How many.",
)  # fmt: skip
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True,
    help="The first of them.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Play this one only, and show its trace.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; default: one for each core.")
@last_line_json_option
def feed(seeds: int, first: int, seed: int | None, jobs: int | None, as_json: bool) -> None:
    """The market feed against a fake exchange that fails in every way it knows.

    Afterwards every trade that the exchange made was published once and in order, or lies in a
    DATA_GAP whose bounds are right; if not, the seeds are named and the exit code is 1.
    """
    be_quiet()
    if seed is not None:
        figures = _trace(seed)
    else:
        with _progress(seeds) as advance:
            figures = feed_soak.run(
                range(first, first + seeds), jobs, lambda one: advance(one.seed, one.faults)
            )
    if as_json:
        say(json.dumps(figures))
    else:
        _show(figures)
    _fail_if_any_failed("feed", figures)


def _trace(seed: int) -> dict[str, Any]:
    """Play one seed and say what happened in it, line by line."""
    try:
        run = feed_run.play(seed)
    except StuckError as stuck:
        raise Failure(f"seed {seed} is stuck: {stuck}") from stuck
    for note in run.notes:
        say(f"{note.at_s:9.3f} {note.text}", err=True)
    for fault in run.findings.faults:
        say(f"BROKEN: {fault}", err=True)
    return feed_soak.summary([feed_soak.outcome(run, 0.0)], 0.0)


def _show(figures: Mapping[str, Any]) -> None:
    table = Table(title="soak of the feed", title_justify="left")
    table.add_column("figure")
    table.add_column("value", overflow="fold")
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int | float) else json.dumps(value)
        table.add_row(name, shown)
    wide_console().print(table)


@soak.command(
    epilog="Examples: claire soak system --seeds 1000 --json; claire soak system --seed 17"
)
@click.option("--seeds", type=click.IntRange(min=1), default=25, show_default=True,
    help="How many.",
)  # fmt: skip
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True,
    help="The first of them.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Play this one only, and show everything.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; default: one for each core.")
@last_line_json_option
def system(seeds: int, first: int, seed: int | None, jobs: int | None, as_json: bool) -> None:
    """All six services in one process under virtual time, with faults that a seed decides.

    Afterwards the record must pass `claire validate` and `claire verify`, no market event may be
    lost or doubled, and the market must have come to its end; if not, the exit code is 1.
    """
    be_quiet()
    if seed is not None:
        outcome = play_system(seed)
        for line in (*outcome.happened, *outcome.last_events):
            say(line)
        figures = system_soak.summary([outcome], outcome.seconds)
    else:
        with _progress(seeds) as advance:
            figures = system_soak.run(
                range(first, first + seeds), jobs, lambda one: advance(one.seed, one.problems)
            )
    if as_json:
        say(json.dumps(figures))
    else:
        _show_system(figures)
    _fail_if_any_failed("system", figures)


@contextmanager
def _progress(seeds: int) -> Iterator[Callable[[int, Sequence[str]], None]]:
    """A progress bar; gives a function that takes each played seed and what failed in it."""
    console = SafeConsole(stderr=True)
    with sigterm_as_interrupt(), Progress(transient=True, console=console) as bar:
        task = bar.add_task("seeds", total=seeds)

        def advance(seed: int, faults: Sequence[str]) -> None:
            bar.advance(task)
            if faults:
                bar.console.print(f"seed {seed} failed: {faults[0]}")

        yield advance


def _fail_if_any_failed(name: str, figures: Mapping[str, Any]) -> None:
    if figures["failed"]:
        raise Failure(
            f"{figures['failed']} of {figures['seeds']} seeds failed;"
            f" claire soak {name} --seed {figures['failing_seeds'][0]} replays the first"
        )


def _show_system(figures: Mapping[str, Any]) -> None:
    table = Table("figure", "value", box=None)
    for name, value in figures.items():
        table.add_row(name, json.dumps(value) if isinstance(value, dict | list) else str(value))
    wide_console().print(table)
