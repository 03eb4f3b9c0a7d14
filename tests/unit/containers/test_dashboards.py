"""What Grafana is given: two data sources, and dashboards whose every panel asks one of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

GRAFANA = Path(__file__).parents[3] / "backoffice" / "grafana"
SOURCES: list[dict[str, Any]] = yaml.safe_load(
    (GRAFANA / "provisioning" / "datasources" / "claire.yml").read_text("utf-8")
)["datasources"]
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]


def test_both_data_sources_are_provisioned_without_a_password_in_the_file() -> None:
    types = {source["uid"]: source["type"] for source in SOURCES}

    assert types == {"prometheus": "prometheus", "postgres": "grafana-postgresql-datasource"}
    (postgres,) = (source for source in SOURCES if source["uid"] == "postgres")
    assert postgres["user"] == "claire_grafana"
    assert postgres["secureJsonData"]["password"].startswith("$__file{/run/secrets/")


def test_the_first_dashboard_shows_what_a_trader_asks_first() -> None:
    titles = " ".join(panel["title"].lower() for panel in BOARDS["trading"]["panels"])

    for asked in ("equity", "exposure", "signals", "decisions", "order results", "data age"):
        assert asked in titles


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_a_provisioned_source(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        uid = target["datasource"]["uid"]
        assert uid in {source["uid"] for source in SOURCES}
        assert target["expr" if uid == "prometheus" else "rawSql"].strip()


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_has_an_id_of_its_own_and_panels_that_do_not_overlap(name: str) -> None:
    board = BOARDS[name]

    assert board["uid"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
