"""The dashboards as Grafana reads them, and their queries with its variables filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser

from backoffice.scripts.generate_docs import METRICS
from services.cdb_db_writer.metrics import BACKUP_AGE
from services.cdb_ws.metrics import RECORDED, RECORDING, TICKS_DROPPED, VENUE

GRAFANA = Path(__file__).parents[1] / "backoffice" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
DECLARED = {metric.name: metric for declared in METRICS.values() for metric in declared}
CLIENT_SERIES = {
    *("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"),
    "process_start_time_seconds",
}
"""What the Prometheus client adds in each service."""
PROMETHEUS_SERIES = {"up", "scrape_duration_seconds"}
"""What Prometheus itself adds to each target."""
KNOWN_SERIES = {
    *(series for metric in DECLARED.values() for series in metric.series),
    *(CLIENT_SERIES | PROMETHEUS_SERIES),
}
CALM_SERIES = {
    series
    for metric in (*VENUE, RECORDED, RECORDING, TICKS_DROPPED, BACKUP_AGE)
    for series in metric.series
}
"""Empty on a calm day of a market that is not live: nothing was recorded, dropped or backed up."""
CALM_TABLES = {"Gaps and data alerts", "Open positions and their prices"}
"""Panels of the record that are empty while nothing is wrong with the data, and nothing is open."""
_VARIABLES = {
    "${run:sqlstring}": "(SELECT run_id FROM runs ORDER BY seq DESC LIMIT 1)",
    "${symbol:sqlstring}": "(SELECT symbol FROM market_data WHERE kind = 'trade' LIMIT 1)",
}


@dataclass(frozen=True)
class Query:
    """One query of a panel; ``text`` is PromQL or SQL."""

    board: str
    panel: str
    kind: str
    text: str

    @property
    def name(self) -> str:
        """For people: where it stands."""
        return f"{self.board}/{self.panel}"


def panels(board: str) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its rows."""
    return [panel for panel in BOARDS[board]["panels"] if panel["type"] != "row"]


def queries(kind: str) -> Iterator[Query]:
    """Every query to ``prometheus`` or ``grafana-postgresql-datasource``, annotations too."""
    for board, body in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                if target["datasource"]["type"] == kind:
                    text = target.get("expr") or target["rawSql"]
                    yield Query(board, panel["title"], kind, text)
        for note in body["annotations"]["list"]:
            if note["datasource"]["type"] == kind:
                yield Query(board, f"annotation {note['name']}", kind, note["target"]["rawSql"])


def filled_promql(text: str) -> str:
    """The expression with the intervals that Grafana would fill in."""
    return text.replace("$__rate_interval", "1m").replace("$__range", "5m")


def filled_sql(text: str) -> str:
    """The statement over all times, for the newest run and any symbol."""
    for variable, value in _VARIABLES.items():
        text = text.replace(variable, value)
    return re.sub(r"\$__timeFilter\(([^)]+)\)", r"\1 BETWEEN '-infinity' AND 'infinity'", text)


def series_of(expression: str) -> set[str]:
    """The names of the time series in an expression.

    Raises:
        ValueError: It is no PromQL.
    """
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(node.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return names
