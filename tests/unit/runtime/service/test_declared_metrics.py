"""The services show what they declare: no more, and no less."""

import re

import pytest

from backoffice.scripts.generate_docs import METRICS
from services.cdb_db_writer.metrics import BACKUP_AGE
from services.cdb_ws.metrics import RECORDED, RECORDING, TICKS_DROPPED, VENUE
from services.kernel.events import topics
from services.runtime.service.declared_metric import DeclaredMetric, Kind
from tests.exposed_metrics import exposed_metrics

pytestmark = pytest.mark.unit

SHOWN_ELSEWHERE: dict[str, tuple[DeclaredMetric, ...]] = {
    topics.WS: (*VENUE, RECORDED, RECORDING, TICKS_DROPPED),
    topics.DB_WRITER: (BACKUP_AGE,),
}
"""What a replay shows none of: a live venue's, the recorder's, and the age of a backup."""
ALL = [metric for declared in METRICS.values() for metric in declared]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_declared_with_unit_help_and_bounded_labels(metric: DeclaredMetric) -> None:
    assert re.fullmatch(r"cdb_[a-z0-9_]+", metric.name)
    assert metric.unit
    assert metric.help.endswith(".")
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert all(metric.labels.values())


@pytest.mark.parametrize("unit", ["seconds", "bytes"])
def test_a_name_says_its_unit(unit: str) -> None:
    for metric in ALL:
        assert (metric.unit == unit) == (unit in metric.name), metric.name


def test_one_name_means_the_same_in_every_service() -> None:
    by_name: dict[str, DeclaredMetric] = {}
    for metric in ALL:
        assert by_name.setdefault(metric.name, metric) == metric


@pytest.mark.parametrize("service", METRICS)
def test_a_service_declares_a_name_once(service: str) -> None:
    names = [metric.name for metric in METRICS[service]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("service", METRICS)
def test_a_service_shows_exactly_what_it_declares(service: str) -> None:
    shown = {n: kind for n, kind in exposed_metrics()[service].items() if n.startswith("cdb_")}
    declared = {metric.name: str(metric.kind) for metric in METRICS[service]}
    elsewhere = {metric.name for metric in SHOWN_ELSEWHERE.get(service, ())}

    assert shown == {name: kind for name, kind in declared.items() if name not in elsewhere}
