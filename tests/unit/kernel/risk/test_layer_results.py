"""Every layer has a result, whatever is judged."""

from decimal import Decimal

import pytest

from services.kernel.events import LayerVerdict, TradingState
from services.kernel.reasons import Reason
from services.kernel.risk.checks.layers import LAYERS, assess_exit, not_measured
from tests.unit.kernel.candidates import candidate, layer, market

pytestmark = [pytest.mark.unit, pytest.mark.risk]

PASS, FAIL, NOT_APPLICABLE = LayerVerdict


def test_an_exit_passes_every_layer_and_keeps_the_figures() -> None:
    inputs = candidate(
        account_state=TradingState.HALTED,
        daily_drawdown_pct="0.2",
        health=market(anomaly=Reason.PRICE_JUMP, stale=True),
        open_conditions=("gap",),
        entries_last_hour=99,
    )

    results = assess_exit(inputs)

    assert [result.verdict for result in results] == [PASS] * 7
    assert results[0].value == Decimal("0.2")


def test_what_cannot_be_measured_still_has_seven_results() -> None:
    results = not_measured("price NaN")

    assert [result.layer for result in results] == [layer.number for layer in LAYERS]
    assert {result.verdict for result in results} == {NOT_APPLICABLE}
    assert {result.detail for result in results} == {"price NaN"}


def test_an_absurd_figure_is_recorded_and_stops_nothing() -> None:
    result = layer(4, elsewhere="1E+40")

    assert result.verdict is FAIL
    assert result.value == (Decimal("1E+40") + 10_000) / 100_000
