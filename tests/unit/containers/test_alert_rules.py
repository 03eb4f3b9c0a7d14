"""The alert rules of Prometheus: severity, summary, runbook page and firing test of each."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.settings.parameters import ALL_SPECS
from tests.dashboards import KNOWN_SERIES, series_of

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "backoffice" / "prometheus"
RUNBOOKS = ROOT / "backoffice" / "docs" / "runbooks"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
RULES: list[dict[str, Any]] = [
    rule
    for path in RULE_FILES
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
TESTS: list[dict[str, Any]] = [
    test for path in TEST_FILES for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
]
NAMES = [rule["alert"] for rule in RULES]
PAGES = {path.stem: path.read_text("utf-8") for path in RUNBOOKS.glob("*.md")}

every_rule = pytest.mark.parametrize("rule", RULES, ids=NAMES)


@every_rule
def test_a_rule_has_severity_summary_and_its_page(rule: dict[str, Any]) -> None:
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook"] == f"backoffice/docs/runbooks/{rule['alert']}.md"
    assert re.fullmatch(r"\d+[smhd]", rule["for"])


@every_rule
def test_a_rule_asks_for_declared_metrics_only(rule: dict[str, Any]) -> None:
    names = series_of(rule["expr"])

    assert names
    assert names <= KNOWN_SERIES


def test_each_rule_has_its_page_and_each_page_its_rule() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert set(PAGES) == set(NAMES)


@every_rule
def test_a_page_says_what_to_look_at_and_what_to_do(rule: dict[str, Any]) -> None:
    page = PAGES[rule["alert"]]

    assert page.startswith(f"# {rule['alert']}\n\nSeverity: {rule['labels']['severity']}. ")
    head, look_at, to_do = re.split(r"\n## What to (?:look at|do)\n", page)
    assert len(head.split()) > 10
    assert "\n- " in look_at
    assert "\n- " in to_do


def test_a_page_names_settings_that_exist() -> None:
    known = {spec.name for spec in ALL_SPECS} | {
        *("CDB_BACKUP_DIR", "CDB_REDIS_MAXMEMORY", "SYMBOL_WHITELIST", "TOP_N"),
        *("RISK_LIMIT", "DATA_GAP", "NOT_IN_JOURNAL"),
    }
    for name, page in PAGES.items():
        words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", page))
        assert words <= known, name


def test_each_rule_has_a_test_in_which_it_is_quiet_and_then_fires() -> None:
    assert sorted(test["name"] for test in TESTS) == sorted(NAMES)
    for test in TESTS:
        quiet, fires = test["alert_rule_test"]
        assert {quiet["alertname"], fires["alertname"]} == {test["name"]}
        assert quiet["exp_alerts"] == []
        assert len(fires["exp_alerts"]) == 1


def test_prometheus_is_given_the_rules() -> None:
    config = yaml.safe_load((ROOT / "prometheus.yml").read_text("utf-8"))
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))

    assert config["rule_files"] == ["/etc/prometheus/rules/*.yml"]
    mounted = compose["services"]["cdb_prometheus"]["volumes"]
    assert "./backoffice/prometheus/rules:/etc/prometheus/rules:ro" in mounted


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on the PATH")
def test_the_rules_fire_as_their_tests_say() -> None:
    command = ["promtool", "test", "rules", *map(str, TEST_FILES)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
