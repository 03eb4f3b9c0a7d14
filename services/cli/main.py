"""The console script: knows the verbs, and turns what may go wrong into one line and a code."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from services import __version__
from services.cli.verbs import LazyGroup, Verb

SECTIONS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "Run": {
        "init": Verb("run.containers", "Write .env with generated passwords."),
        "up": Verb("run.containers", "Start the ten containers; writes .env on first use."),
        "down": Verb("run.containers", "Stop the containers; their data stays."),
        "run-paper": Verb("run.run_paper", "Trade on paper without Docker."),
        "backtest": Verb("run.backtest", "The live decisions on recorded data, in one process."),
        "run-scenarios": Verb("run.scenarios", "Play market situations and check what must hold."),
    },
    "Operate": {
        "status": Verb("look.status", "Health of every service, halts, pauses, price ages."),
        "halt": Verb(
            "operate.operation", "Stop all entries until `claire reset`; exits still work."
        ),
        "reset": Verb("operate.operation", "Release a halt."),
        "pause": Verb("operate.operation", "No entries until `claire resume`: all, or one symbol."),
        "resume": Verb("operate.operation", "End a pause."),
        "doctor": Verb("operate.diagnosis", "What this machine lacks, with the remedy for each."),
        "config": Verb("operate.configuration", "Every setting: value, source, range, meaning."),
        "db": Verb("operate.database", "The long-term record in PostgreSQL: migrate, rebuild."),
    },
    "Look": {
        "console": Verb("look.console", "The web console: state, charts, reasons, actions."),
        "tail": Verb("look.observation", "Show events as they are published."),
        "runs": Verb("look.account", "The recorded runs: begin, end, trades, halts."),
        "positions": Verb("look.account", "The open positions, and how old their prices are."),
        "trades": Verb("look.account", "The closed trades: exit reason, gross, each cost, net."),
        "why": Verb("look.explanation", "Why there are trades or none, and what would change it."),
        "explain": Verb("look.explanation", "The story of a signal, order, trade or event."),
        "trace": Verb("look.explanation", "Everything that one signal led to, step by step."),
        "report": Verb("look.report", "A backtest or paper run as one HTML page; also JSON, CSV."),
        "stats": Verb("look.statistics", "What a run earned and cost."),
    },
    "Prove": {
        "verify": Verb(
            "prove.verification", "Re-execute the record; every decision byte for byte."
        ),
        "validate": Verb(
            "prove.verification", "Check that the record can be true: chain, causes, sums."
        ),
        "replay": Verb("prove.replaying", "What other settings or other code would have decided."),
        "export": Verb("prove.verification", "Write the record to a file that verify reads."),
    },
    "Data": {
        "record": Verb("data.record", "Record MEXC's market into Parquet files."),
        "data": Verb("data.data", "Recorded, imported and fetched market data."),
    },
    "Develop": {
        "bench": Verb("develop.bench", "Measure this machine."),
        "soak": Verb("develop.soak", "Prove what must hold on bad days, in virtual time."),
        "exchange-sim": Verb(
            "develop.exchange_sim", "A fake MEXC over a recorded or synthetic market."
        ),
    },
}
"""Every command, in the order of the help."""

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
    sections=SECTIONS,
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
