"""cdb_paper_runner: starts and ends runs, folds the portfolio, counts, and runs the console."""

from services.cdb_paper_runner.config import SERVICE
from services.cdb_paper_runner.summary_page import summary_page
from services.cdb_paper_runner.worker import PaperRunner
from services.runtime.service.shell import run


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, PaperRunner, pages=summary_page)
