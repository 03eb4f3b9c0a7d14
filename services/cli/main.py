"""The console script: gathers the verbs, and turns what may go wrong into one line and a code."""

import sys

import click

from services import __version__
from services.cli.bench import bench
from services.cli.configuration import config
from services.cli.containers import down, init, up
from services.cli.database import db
from services.cli.diagnosis import doctor
from services.cli.observation import status, tail
from services.cli.operation import halt, pause, reset, resume
from services.cli.run_paper import run_paper

EPILOG = """\b
Examples:
  claire run-paper --source synthetic --speed 60
  claire run-paper --source replay --data trades.csv.gz --speed max --json
  claire up && claire status
  claire halt --reason "exchange maintenance"
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="claire")
def claire() -> None:
    """Claire de Binare: autonomous, event-driven paper trading of crypto perpetual futures."""


for command in (
    init,
    run_paper,
    up,
    down,
    status,
    tail,
    halt,
    reset,
    pause,
    resume,
    config,
    doctor,
    db,
    bench,
):
    claire.add_command(command)


def main() -> None:
    """Run the command line; exit 0 when it worked, 1 when not, 2 when it was called wrongly."""
    try:
        claire(prog_name="claire")
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
