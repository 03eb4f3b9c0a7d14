"""Puts the page together: scripts, styles and the data of the run in one file."""

import base64
import hashlib
from pathlib import Path
from string import Template
from typing import Final

import msgspec

from services.reports.page.view import view_of
from services.reports.run_facts import RunFacts
from services.web.vendored import CHART_NOTICE, LIGHTWEIGHT_CHARTS, UPLOT, UPLOT_STYLE

FOLDER: Final = Path(__file__).parent


def render(facts: RunFacts) -> str:
    """The report of a run as one HTML document, which makes no request.

    The browser holds every script to its hash (Content-Security-Policy) and loads nothing.
    """
    own = _text("report.js")
    hashes = [LIGHTWEIGHT_CHARTS.integrity, UPLOT.integrity, _integrity(own)]
    return Template(_text("report.html")).substitute(
        title=f"{', '.join(sorted(facts.symbols))[:60]} {facts.run_id[:12]}",
        scripts=" ".join(f"'{found}'" for found in hashes),
        chart_style=UPLOT_STYLE.text,
        style=_text("report.css"),
        charts=LIGHTWEIGHT_CHARTS.text,
        plots=UPLOT.text,
        script=own,
        data=_inert(msgspec.json.encode(view_of(facts)).decode()),
        notice=CHART_NOTICE.removesuffix(" https://www.tradingview.com/"),
    )


def _inert(json: str) -> str:
    """JSON that no HTML parser sees a tag in."""
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _integrity(text: str) -> str:
    digest = hashlib.sha384(text.encode()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


def _text(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
