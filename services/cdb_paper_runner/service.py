"""cdb_paper_runner: starts and ends runs, folds the portfolio, counts, and shows it on a page."""

from services.cdb_paper_runner.config import SERVICE
from services.cdb_paper_runner.console import console
from services.cdb_paper_runner.worker import PaperRunner
from services.runtime.service.shell import run


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, PaperRunner, pages=console)
