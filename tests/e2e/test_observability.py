"""Prometheus and Grafana see what they should, on a stack that trades."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import wait_until
from tests.e2e.stack import ROOT, SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DASHBOARDS = ROOT / "backoffice" / "grafana" / "dashboards"
PANELS = [
    pytest.param(panel, id=f"{path.stem}-{panel['title']}")
    for path in sorted(DASHBOARDS.glob("*.json"))
    for panel in json.loads(path.read_text("utf-8"))["panels"]
]
DATA_WITHIN_S = 120.0


def as_admin(stack: Stack, path: str) -> Any:
    status, body = stack.get("cdb_grafana", path, f"admin:{stack.env['GRAFANA_ADMIN_PASSWORD']}")
    assert status == 200, body
    return json.loads(body)


def test_prometheus_reaches_every_service(synthetic: Stack) -> None:
    def up() -> bool:
        found = {r["metric"]["job"]: r["value"][1] for r in synthetic.prometheus("up")}
        return set(SERVICES) <= set(found) and set(found.values()) == {"1"}

    wait_until(up, "all targets are up", 60)


def test_grafana_has_both_data_sources(synthetic: Stack) -> None:
    sources = {source["uid"]: source for source in as_admin(synthetic, "/api/datasources")}

    assert set(sources) == {"prometheus", "postgres"}
    assert sources["postgres"]["user"] == "claire_grafana"


def test_grafana_wants_its_password(synthetic: Stack) -> None:
    assert synthetic.get("cdb_grafana", "/api/datasources", "admin:admin")[0] == 401


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_grafana_has_the_dashboard(synthetic: Stack, path: Path) -> None:
    wanted = json.loads(path.read_text("utf-8"))

    found = as_admin(synthetic, f"/api/dashboards/uid/{wanted['uid']}")["dashboard"]

    assert found["title"] == wanted["title"]
    assert len(found["panels"]) == len(wanted["panels"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panels_queries_find_data(synthetic: Stack, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if target["datasource"]["uid"] == "prometheus":
            # Grafana fills this in by the width of the panel.
            query = target["expr"].replace("$__rate_interval", "1m")
            wait_until(lambda q=query: synthetic.prometheus(q), f"data for {query}", DATA_WITHIN_S)
        else:
            query = target["rawSql"]
            wait_until(
                lambda q=query: synthetic.query(q, role="claire_grafana"),
                f"rows for {query}",
                DATA_WITHIN_S,
            )


def test_the_dashboards_role_can_change_nothing(synthetic: Stack) -> None:
    for statement in (
        "DELETE FROM alerts",
        "UPDATE orders SET status = 'FILLED'",
        "CREATE TABLE mine (x int)",
    ):
        with pytest.raises(Exception, match="permission denied"):
            synthetic.query(statement, role="claire_grafana")
