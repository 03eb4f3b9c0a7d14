"""Formulas of performance: against hand-made values, and against empyrical-reloaded."""

import math
from random import Random

import pytest

from services.reports import ratios
from services.reports.ratios import Drawdown

pytestmark = pytest.mark.unit

empyrical = pytest.importorskip("empyrical", reason="a development requirement, see requirements")


def drawn(seed: int, count: int = 200) -> list[float]:
    random = Random(seed)  # noqa: S311 - not a secret
    return [random.gauss(0.0005, 0.02) for _ in range(count)]


def curve(returns: list[float]) -> list[float]:
    values = [100.0]
    for one in returns:
        values.append(values[-1] * (1 + one))
    return values


@pytest.mark.parametrize("seed", range(5))
def test_every_ratio_is_that_of_empyrical(seed: int) -> None:
    import numpy as np  # noqa: PLC0415 - comes with empyrical

    returns = drawn(seed)
    theirs = np.array(returns)
    values = curve(returns)
    growth = ratios.annual_return(values[-1] / values[0] - 1, len(returns) / 365)
    fallen = ratios.largest_drawdown(range(len(values)), values)
    assert growth is not None
    assert fallen is not None

    def same(ours: float | None, expected: float) -> None:
        assert ours == pytest.approx(expected, rel=1e-9)

    same(ratios.sharpe(returns, 365), empyrical.sharpe_ratio(theirs, annualization=365))
    same(ratios.sortino(returns, 365), empyrical.sortino_ratio(theirs, annualization=365))
    same(growth, empyrical.cagr(theirs, annualization=365))
    same(fallen.pct, -empyrical.max_drawdown(theirs))
    same(ratios.calmar(growth, fallen), empyrical.calmar_ratio(theirs, annualization=365))
    same(ratios.value_at_risk(returns), -empyrical.value_at_risk(theirs))
    same(ratios.expected_shortfall(returns), -empyrical.conditional_value_at_risk(theirs))
    spread = ratios.deviation(returns)
    assert spread is not None
    same(spread * math.sqrt(365), empyrical.annual_volatility(theirs, annualization=365))


def test_hand_made_values() -> None:
    assert ratios.returns_of([100, 110, 99, 0, 5]) == pytest.approx([0.1, -0.1, -1.0, 0.0])
    assert ratios.sharpe([0.01, 0.03], 4) == pytest.approx(0.02 / math.sqrt(0.0002) * 2)
    assert ratios.sortino([0.03, -0.01], 1) == pytest.approx(0.01 / math.sqrt(0.0001 / 2))
    assert ratios.annual_return(0.21, 2) == pytest.approx(0.1)
    assert ratios.system_quality([1, 3]) == pytest.approx(2 / math.sqrt(2) * math.sqrt(2))
    hundred, more = [1.0, 3.0] * 50, [1.0, 3.0] * 200
    spread = ratios.deviation(more)
    assert spread is not None
    assert ratios.system_quality(hundred) == pytest.approx(2 / ratios.deviation(hundred) * 10)  # type: ignore[operator]
    assert ratios.system_quality(more) == pytest.approx(2 / spread * 10)
    assert ratios.longest_row([True, True, False, True]) == 2


def test_what_has_no_value_is_none() -> None:
    assert ratios.sharpe([0.01], 365) is None
    assert ratios.sharpe([0.01, 0.01], 365) is None
    assert ratios.sortino([0.01, 0.0], 365) is None
    assert ratios.annual_return(-1.0, 1) is None
    assert ratios.annual_return(0.1, 0) is None
    assert ratios.annual_return(1e9, 1e-4) is None
    assert ratios.value_at_risk([]) is None
    assert ratios.expected_shortfall([]) is None
    assert ratios.system_quality([1.0]) is None
    assert ratios.largest_drawdown([1, 2, 3], [1, 1, 2]) is None


def test_a_drawdown_has_its_peak_its_bottom_and_its_end() -> None:
    times, values = [0, 1, 2, 3, 4, 5, 6], [100, 120, 120, 90, 119, 120, 60]
    assert ratios.largest_drawdown(times[:6], values[:6]) == Drawdown(0.25, 2, 3, 5)
    assert ratios.largest_drawdown(times, values) == Drawdown(0.5, 5, 6, None)
    assert ratios.largest_drawdown([0, 1, 2, 3], [10, 5, 10, 5]) == Drawdown(0.5, 0, 1, 2)
