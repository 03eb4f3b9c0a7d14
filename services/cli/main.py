"""The console script: knows the verbs, and turns what may go wrong into one line and a code."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from services import __version__
from services.cli.verbs import LazyGroup, Verb

VERBS: Final[Mapping[str, Verb]] = {
    "init": Verb("containers", "Write .env with generated passwords."),
    "up": Verb("containers", "Start the ten containers; writes .env on first use."),
    "down": Verb("containers", "Stop the containers; their data stays."),
    "run-paper": Verb("run_paper", "Trade on paper without Docker."),
    "status": Verb("observation", "Health and state of every service."),
    "tail": Verb("observation", "Show events as they are published."),
    "halt": Verb("operation", "Stop all entries until `claire reset`; exits still work."),
    "reset": Verb("operation", "Release a halt."),
    "pause": Verb("operation", "No entries until `claire resume`: all, or one symbol."),
    "resume": Verb("operation", "End a pause."),
    "config": Verb("configuration", "Every setting: value, source, range, meaning."),
    "doctor": Verb("diagnosis", "What this machine lacks, with the remedy for each."),
    "db": Verb("database", "The long-term record in PostgreSQL: migrate, rebuild."),
    "record": Verb("record", "Record MEXC's market into Parquet files."),
    "data": Verb("data", "Recorded, imported and fetched market data."),
    "exchange-sim": Verb("exchange_sim", "A fake MEXC over a recorded or synthetic market."),
    "run-scenarios": Verb("scenarios", "Play market situations and check what must hold."),
    "replay": Verb("replaying", "What other settings or other code would have decided."),
    "verify": Verb("verification", "Re-execute the record; every decision byte for byte."),
    "validate": Verb("verification", "Check that the record can be true: chain, causes, sums."),
    "export": Verb("verification", "Write the record to a file that verify reads."),
    "explain": Verb("explanation", "The story of a signal, order, trade or event."),
    "why": Verb("explanation", "Why there are trades or none, and what would change it."),
    "trace": Verb("explanation", "Everything that one signal led to, step by step."),
    "stats": Verb("statistics", "What a run earned and cost."),
    "bench": Verb("bench", "Measure this machine."),
    "soak": Verb("soak", "Prove what must hold on bad days, in virtual time."),
}
"""Every verb, in the order of the help."""

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
    verbs=VERBS,
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
