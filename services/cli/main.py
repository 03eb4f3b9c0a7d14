"""The console script: knows the verbs, and turns what may go wrong into one line and a code."""

import sys
from typing import Final

import click

from services import __version__
from services.cli.verbs import LazyGroup

VERBS: Final = {
    verb: f"services.cli.{module}"
    for module, verbs in {
        "containers": ("init", "up", "down"),
        "run_paper": ("run-paper",),
        "observation": ("status", "tail"),
        "operation": ("halt", "reset", "pause", "resume"),
        "configuration": ("config",),
        "diagnosis": ("doctor",),
        "database": ("db",),
        "record": ("record",),
        "data": ("data",),
        "exchange_sim": ("exchange-sim",),
        "scenarios": ("run-scenarios",),
        "replaying": ("replay",),
        "verification": ("verify", "validate", "export"),
        "explanation": ("explain", "why", "trace"),
        "statistics": ("stats",),
        "bench": ("bench",),
        "soak": ("soak",),
    }.items()
    for verb in verbs
}
"""Every verb, and the module that has it."""

EPILOG = """\b
Examples:
  claire run-paper --source synthetic --speed 60
  claire run-paper --source replay --data trades.csv.gz --speed max --json
  claire up && claire status
  claire why && claire verify
  claire halt --reason "exchange maintenance"
"""


@click.group(
    cls=LazyGroup,
    modules=VERBS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="claire")
def claire() -> None:
    """Claire de Binare: autonomous, event-driven paper trading of crypto perpetual futures."""


def main() -> None:
    """Run the command line; exit 0 when it worked, 1 when not, 2 when it was called wrongly."""
    try:
        claire(prog_name="claire")
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
