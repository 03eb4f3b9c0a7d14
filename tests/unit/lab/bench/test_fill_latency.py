"""Percentiles as the benchmark reports them."""

import pytest

from services.lab.bench.fill_latency import percentile

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("part", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0), (0.001, 1.0)]
)
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert percentile(values, part) == value


def test_of_nothing_it_is_zero() -> None:
    assert percentile([], 0.99) == 0.0
