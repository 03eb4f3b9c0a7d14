"""The account's figures as JSON, for `claire run-paper` and the benchmarks."""

from flask import Blueprint, Response, jsonify

from services.cdb_paper_runner.worker import PaperRunner


def summary_page(worker: PaperRunner) -> Blueprint:
    """``/api/summary``."""
    pages = Blueprint("summary", __name__)

    @pages.get("/api/summary")
    def _summary() -> Response:
        return jsonify(dict(worker.summary))

    return pages
