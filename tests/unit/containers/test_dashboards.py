"""What Grafana is given: two data sources, one folder, and dashboards that keep the rules."""

import re
from itertools import chain
from typing import Any

import pytest
import yaml

from services.runtime.service.declared_metric import Kind
from tests.dashboards import (
    BOARDS,
    DECLARED,
    GRAFANA,
    KNOWN_SERIES,
    filled_promql,
    panels,
    queries,
    series_of,
)
from tests.exposed_metrics import exposed_metrics

pytestmark = pytest.mark.unit

SOURCES: list[dict[str, Any]] = yaml.safe_load(
    (GRAFANA / "provisioning" / "datasources" / "claire.yml").read_text("utf-8")
)["datasources"]
(PROVIDER,) = yaml.safe_load(
    (GRAFANA / "provisioning" / "dashboards" / "claire.yml").read_text("utf-8")
)["providers"]
TYPES = {source["type"] for source in SOURCES}
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}") for name in BOARDS for panel in panels(name)
]
PROMQL = sorted({query.text for query in queries("prometheus")})
CURRENT_SCHEMA = 41
CURRENT_PANELS = {"candlestick", "stat", "table", "timeseries"}
RATES = re.compile(r"(?:rate|increase)\(\s*[^\[\]]+\[([^\]]+)\]")


def test_both_data_sources_are_provisioned_without_a_password_in_the_file() -> None:
    types = {source["uid"]: source["type"] for source in SOURCES}

    assert types == {"prometheus": "prometheus", "postgres": "grafana-postgresql-datasource"}
    (postgres,) = (source for source in SOURCES if source["uid"] == "postgres")
    assert postgres["user"] == "claire_grafana"
    assert postgres["secureJsonData"]["password"].startswith("$__file{/run/secrets/")


def test_the_dashboards_are_in_one_folder() -> None:
    assert PROVIDER["folder"] == "Claire de Binare"
    assert {board["title"] for board in BOARDS.values()} == {
        *("Trading", "Decisions", "Pipeline", "Market data", "Infrastructure")
    }


def test_the_first_dashboard_shows_what_a_trader_asks_first() -> None:
    titles = " ".join(panel["title"].lower() for panel in panels("trading"))

    for asked in ("equity", "drawdown", "exposure", "positions", "order", "trades", "state"):
        assert asked in titles


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_begins_with_the_alerts_of_the_record(name: str) -> None:
    first, board = panels(name)[0], BOARDS[name]

    assert (first["title"], first["gridPos"]["y"]) == ("Alerts", 0)
    assert "FROM alerts" in first["targets"][0]["rawSql"]
    assert [note["name"] for note in board["annotations"]["list"]] == ["Alerts"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_has_the_current_schema_an_id_and_a_description(name: str) -> None:
    board = BOARDS[name]

    assert board["schemaVersion"] == CURRENT_SCHEMA
    assert board["uid"] == f"claire-{name}"
    assert board["description"].endswith(".")
    assert board["timezone"] == "utc"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_that_a_query_uses_is_defined(name: str) -> None:
    board = BOARDS[name]
    defined = {variable["name"]: variable for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)", str([board["panels"], board["annotations"]])))

    assert used == set(defined)
    types = {one["query"] for one in defined.values() if one["type"] == "datasource"}
    assert types == TYPES


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_title_description_unit_and_a_current_type(panel: dict[str, Any]) -> None:
    assert panel["type"] in CURRENT_PANELS
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["description"] != panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_its_source_through_the_variable(panel: dict[str, Any]) -> None:
    variables = {"prometheus": "${prometheus}", "grafana-postgresql-datasource": "${postgres}"}

    assert panel["targets"]
    refs = [target["refId"] for target in panel["targets"]]
    assert len(refs) == len(set(refs))
    for target in panel["targets"]:
        source = target["datasource"]
        assert source == panel["datasource"]
        assert source["uid"] == variables[source["type"]]


@pytest.mark.parametrize("panel", PANELS)
def test_times_and_sizes_are_shown_as_such(panel: dict[str, Any]) -> None:
    """A panel of seconds, bytes or fractions says so; a quantile and an age are seconds."""
    if panel["datasource"]["type"] != "prometheus" or panel["type"] == "table":
        return
    units = {"seconds": "s", "bytes": "bytes", "fraction": "percentunit"}
    text = panel["targets"][0]["expr"]
    counts = "_count" in text or text.startswith("count(")
    (name, *others) = sorted(series_of(filled_promql(text)))
    declared = DECLARED.get(re.sub(r"_bucket$", "", name))
    if declared is None or declared.unit not in units or counts or others:
        return
    assert panel["fieldConfig"]["defaults"]["unit"] == units[declared.unit]


@pytest.mark.parametrize("text", PROMQL)
def test_promql_can_be_parsed_and_names_declared_metrics_only(text: str) -> None:
    names = series_of(filled_promql(text))

    assert names
    assert names <= KNOWN_SERIES


@pytest.mark.parametrize("text", PROMQL)
def test_a_rate_is_over_the_interval_that_grafana_chooses(text: str) -> None:
    assert set(RATES.findall(text)) <= {"$__rate_interval", "$__range"}
    counters = {
        name
        for name in series_of(filled_promql(text))
        if name in DECLARED and DECLARED[name].kind is Kind.COUNTER
    }
    assert bool(counters) <= bool(RATES.search(text)), "a counter is shown by its rate"


def test_every_metric_of_a_panel_is_exposed_by_a_service_that_trades() -> None:
    exposed = {
        series
        for name in chain.from_iterable(exposed_metrics().values())
        if name in DECLARED
        for series in DECLARED[name].series
    }
    asked = {name for text in PROMQL for name in series_of(filled_promql(text))}
    missing = {name for name in asked & set(KNOWN_SERIES) - exposed if name.startswith("cdb_")}

    # What only a live venue, the recorder or a backup has; see SHOWN_ELSEWHERE of the metrics.
    allowed = ("cdb_mexc_", "cdb_recorded", "cdb_ticks_dropped", "cdb_backup_age")
    assert not {name for name in missing if not name.startswith(allowed)}
