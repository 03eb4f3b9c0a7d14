"""The verb report: a run as one HTML page, as JSON, and as a table of its trades."""

import csv
import json
import os
from pathlib import Path

import click

from services.backtest import store
from services.backtest.store import NoBacktestError
from services.cli.failure import Failure
from services.cli.json_option import last_line_json_option
from services.cli.progress import rows_bar
from services.cli.record_access import open_record, record_options
from services.cli.target import Where
from services.cli.terminal import say
from services.record.reading import RecordError
from services.record.runs import choose_run, runs_of
from services.reports.explained_trades import fieldnames, rows
from services.reports.observed_result import result_of
from services.reports.page.page import render
from services.reports.performance import performance_of
from services.reports.provenance import provenance_of
from services.reports.recorded_facts import facts_of
from services.reports.run_facts import RunFacts
from services.runtime.embedded.home import Home

EPILOG = """\b
Examples:
  claire report                          # the newest backtest
  claire report 09871311a48d --csv trades.csv
  claire report last --paper             # the newest paper run of the record
  claire report last --file record.jsonl.gz --out run.html
"""


@click.command(epilog=EPILOG)
@click.argument("run_id", default="last", metavar="[RUN]")
@click.option("--paper", is_flag=True, help="A paper run of the record, not a backtest.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file; without it report-RUN.html here.",
)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the closed positions as CSV too.",
)
@record_options
@last_line_json_option
def report(
    run_id: str,
    paper: bool,
    out: Path | None,
    table: Path | None,
    where: Where | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Write the report of a backtest or a paper run: one HTML file that makes no request.

    RUN is an id or the beginning of one; `last` is the newest. --on and --file mean a paper run.
    """
    if paper or where is not None or file is not None:
        facts = _recorded(run_id, where, file, quiet=as_json)
    else:
        facts = _backtest(run_id)
    page = out or Path(f"report-{facts.run_id[:12]}.html")
    try:
        page.write_text(render(facts), encoding="utf-8", newline="\n")
        if table is not None:
            _write_table(table, facts)
    except OSError as error:
        raise Failure(f"the report cannot be written: {error}") from None
    if as_json:
        body = result_of(facts).to_json() | {
            "engine": facts.engine,
            "statistics": performance_of(facts).to_json(),
            "provenance": provenance_of(facts),
            "report": str(page),
        }
        say(json.dumps(body))
    else:
        say(f"{page} ({page.stat().st_size / 1e6:.1f} MB): open it in a browser")


def _backtest(run_id: str) -> RunFacts:
    try:
        return store.load(Home.from_environment(os.environ).folder, run_id)
    except NoBacktestError as error:
        raise Failure(f"{error}; --paper looks for a paper run") from None


def _recorded(run_id: str, where: Where | None, file: Path | None, *, quiet: bool) -> RunFacts:
    with open_record(where, file) as record:
        try:
            run = choose_run(runs_of(record), run_id)
            with rows_bar("reading", run.span, quiet=quiet) as progress:
                return facts_of(record, run, progress)
        except RecordError as error:
            raise Failure(str(error)) from None


def _write_table(path: Path, facts: RunFacts) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(fieldnames())
        writer.writerows(rows(facts))
