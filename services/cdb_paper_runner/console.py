"""The plain status page at /, made on the server, and the same figures as JSON."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from flask import Blueprint, Response, jsonify, render_template

from services.cdb_paper_runner.worker import PaperRunner

TEMPLATES = Path(__file__).parent / "templates"
REFRESH_S = 2


def console(worker: PaperRunner) -> Blueprint:
    """The page and ``/api/summary``."""
    pages = Blueprint("console", __name__, template_folder=str(TEMPLATES))
    pages.add_app_template_filter(_utc, "utc")
    pages.add_app_template_filter(_money, "money")
    pages.add_app_template_filter(_percent, "percent")

    @pages.get("/")
    def _page() -> str:
        return render_template(
            "status.html",
            summary=worker.summary,
            health=worker.shell.health(worker),
            refresh_s=REFRESH_S,
            now_ms=int(datetime.now(UTC).timestamp() * 1000),
        )

    @pages.get("/api/summary")
    def _summary() -> Response:
        return jsonify(dict(worker.summary))

    return pages


def _utc(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _money(number: str | None) -> str:
    return "-" if number is None else f"{Decimal(number):,.2f}"


def _percent(fraction: str | None) -> str:
    return "-" if fraction is None else f"{Decimal(fraction) * 100:.2f} %"
