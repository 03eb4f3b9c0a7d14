"""Prometheus and Grafana see what they should, on a stack that trades."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.dashboards import (
    BOARDS,
    CALM_SERIES,
    CALM_TABLES,
    Query,
    filled_promql,
    filled_sql,
    queries,
    series_of,
)
from tests.deadline import wait_until
from tests.e2e.stack import ROOT, SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROMETHEUS = ROOT / "backoffice" / "prometheus"
RUNBOOKS = ROOT / "backoffice" / "docs" / "runbooks"
PANELS = [
    pytest.param(query, id=f"{query.name}-{number}")
    for kind in ("prometheus", "grafana-postgresql-datasource")
    for number, query in enumerate(queries(kind))
]
DATA_WITHIN_S = 120.0
CALM_ON_THE_STACK = {
    *(*CALM_TABLES, "Alerts", "annotation Alerts", "Changes of the trading state"),
    *("Refusals by layer", "Refusals over time"),
}
"""Panels that are empty at a moment without alerts, halts, refusals and positions."""


def as_admin(stack: Stack, path: str) -> Any:
    status, body = stack.get("cdb_grafana", path, f"admin:{stack.env['GRAFANA_ADMIN_PASSWORD']}")
    assert status == 200, body
    return json.loads(body)


def test_prometheus_reaches_every_service(synthetic: Stack) -> None:
    def up() -> bool:
        found = {r["metric"]["job"]: r["value"][1] for r in synthetic.prometheus("up")}
        return set(SERVICES) <= set(found) and set(found.values()) == {"1"}

    wait_until(up, "all targets are up", 60)


def test_prometheus_has_every_rule_and_no_rule_fails(synthetic: Stack) -> None:
    _, body = synthetic.get("cdb_prometheus", "/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]

    assert {rule["name"] for rule in rules} == {path.stem for path in RUNBOOKS.glob("*.md")}
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


def test_the_rules_fire_as_their_tests_say(synthetic: Stack) -> None:
    """`promtool` is in Prometheus' image."""
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    tests = [f"/p/tests/{path.name}" for path in sorted((PROMETHEUS / "tests").glob("*.yml"))]
    command = [
        *("docker", "run", "--rm", "--network", "none", "--entrypoint", "promtool"),
        *("-v", f"{PROMETHEUS}:/p:ro", image["services"]["cdb_prometheus"]["image"]),
        *("test", "rules", *tests),
    ]
    assert synthetic.port("cdb_prometheus")  # the engine answers, and has the image

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_has_both_data_sources(synthetic: Stack) -> None:
    sources = {source["uid"]: source for source in as_admin(synthetic, "/api/datasources")}

    assert set(sources) == {"prometheus", "postgres"}
    assert sources["postgres"]["user"] == "claire_grafana"


def test_grafana_wants_its_password(synthetic: Stack) -> None:
    assert synthetic.get("cdb_grafana", "/api/datasources", "admin:admin")[0] == 401


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_has_the_dashboard(synthetic: Stack, name: str) -> None:
    wanted = BOARDS[name]

    found = as_admin(synthetic, f"/api/dashboards/uid/{wanted['uid']}")["dashboard"]

    assert found["title"] == wanted["title"]
    assert len(found["panels"]) == len(wanted["panels"])


@pytest.mark.parametrize("query", PANELS)
def test_a_panels_queries_find_data(synthetic: Stack, query: Query) -> None:
    if query.kind == "prometheus":
        text = filled_promql(query.text)
        if series_of(text) <= CALM_SERIES:
            synthetic.prometheus(text)  # no error, and nothing to show
        else:
            wait_until(lambda: synthetic.prometheus(text), f"data for {text}", DATA_WITHIN_S)
        return
    text = filled_sql(query.text)
    found = synthetic.query(text, role="claire_grafana")
    if query.panel not in CALM_ON_THE_STACK:
        wait_until(
            lambda: found or synthetic.query(text, role="claire_grafana"),
            f"rows for {text}",
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
