"""Each service's README lists what the service really consumes, emits, reads and measures."""

import re
from pathlib import Path

import pytest

from backoffice.scripts.generate_docs import METRICS
from services.cdb_core import config as core
from services.cdb_execution import config as execution
from services.cdb_paper_runner import config as paper_runner
from services.cdb_risk import config as risk
from services.runtime.settings import model

pytestmark = pytest.mark.unit

SERVICES = Path(__file__).parents[4] / "services"
CONFIGS = (core, risk, execution, paper_runner)


def readme(service: str) -> str:
    return (SERVICES / service / "README.md").read_text("utf-8")


def section(text: str, start: str) -> set[str]:
    """Names in backticks of the list item or section that begins with ``start``."""
    found = re.search(rf"{re.escape(start)}(.*?)(?=\n- \*\*|\n## |\n\n|\Z)", text, re.DOTALL)
    assert found, start
    return set(re.findall(r"`([A-Za-z_]+)", found[1]))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.SERVICE)
def test_topics(config):
    text = readme(config.SERVICE)
    topic_names = {topic for other in CONFIGS for topic in other.CONSUMES | other.EMITS}
    assert section(text, "- **Consumes**") & topic_names == config.CONSUMES
    assert section(text, "- **Emits**") & topic_names == config.EMITS


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.SERVICE)
def test_variables(config):
    table = readme(config.SERVICE).split("## Variables")[1].split("\n##")[0]
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table.split("\n\n")[1]))
    secrets = {name for name in config.VARIABLES if name in model.SECRETS}
    assert listed == set(config.VARIABLES) | {f"{name}_FILE" for name in secrets}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.SERVICE)
def test_mandatory_variables_are_read(config):
    assert set(model.MANDATORY[config.SERVICE]) <= set(config.VARIABLES)


@pytest.mark.parametrize("service", METRICS)
def test_metrics(service: str):
    table = readme(service).split("## Metrics")[1]
    assert set(re.findall(r"`(cdb_\w+)", table)) == {metric.name for metric in METRICS[service]}


@pytest.mark.parametrize("service", [config.SERVICE for config in CONFIGS])
def test_the_shell_is_thin(service: str):
    assert len((SERVICES / service / "service.py").read_text("utf-8").splitlines()) < 100
