"""An inverse contract through all stages: sizes, limits, stop, liquidation, the next run."""

from decimal import Decimal

import pytest

from services.cdb_paper_runner.run_book import RunBook
from services.kernel.events import LayerVerdict, Origin, Side, Verdict
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio import views
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}


def inverse_desk(settings: dict[str, str] | None = None, **fields: object) -> Desk:
    """XBT_USD, one contract worth one dollar; and BTC_USDT beside it."""
    contract = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    return Desk(FREE | (settings or {}), contracts=[contract, builders.instrument(BTC)], **fields)  # type: ignore[arg-type]


def test_an_entry_is_sized_in_dollars_and_whole_contracts() -> None:
    desk = inverse_desk()
    desk.trade("9870.5", XBT)

    decision = desk.signal("9870.5", symbol=XBT)

    # 100,000 x 0.002 / 0.02: the loss at the stop is 200 dollars.
    assert (decision.verdict, decision.quantity) == (Verdict.APPROVED, 10_000)
    assert decision.stop_loss_price == Decimal("9673.5")
    value = {layer.layer: layer.value for layer in decision.layers}
    assert (value[4], value[5]) == (Decimal("0.1"), Decimal("0.1"))


def test_the_limits_count_its_face_value() -> None:
    desk = inverse_desk({"MAX_POSITION_PCT": "0.05"})
    desk.trade("9870.5", XBT)

    decision = desk.signal("9870.5", symbol=XBT)

    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 5_000)
    assert decision.binding_limit == "5 position"


def test_both_kinds_share_the_limit_on_exposure() -> None:
    desk = inverse_desk({"MAX_TOTAL_EXPOSURE_PCT": "0.15", "MAX_CORRELATED_EXPOSURE_PCT": "0.80"})
    desk.enter("9870.5", symbol=XBT)
    desk.trade(100, BTC)

    decision = desk.signal(100, symbol=BTC)

    assert decision.quantity == pytest.approx(Decimal(50), abs=Decimal("0.02"))  # less the fee
    assert decision.binding_limit == "4 total_exposure"


def test_too_few_dollars_are_below_the_minimum() -> None:
    desk = inverse_desk()
    desk.trade("9870.5", XBT)

    assert desk.signal("9870.5", symbol=XBT, quantity="4.9").reason == Reason.BELOW_MINIMUM
    assert desk.signal("9870.5", symbol=XBT, quantity=5).quantity == 5


def test_its_liquidation_is_nearer_for_a_long_and_farther_for_a_short() -> None:
    desk = inverse_desk({"MIN_LIQUIDATION_DISTANCE": "0.25"})
    desk.trade("9870.5", XBT)

    long = desk.signal("9870.5", symbol=XBT)
    short = desk.signal("9870.5", Side.SELL, XBT)

    assert long.reason == Reason.LIQUIDATION_DISTANCE
    assert long.layers[4].verdict is LayerVerdict.FAIL
    assert short.verdict is Verdict.APPROVED


def test_the_fee_is_a_fraction_of_the_face_value() -> None:
    fill = inverse_desk().enter("9870.5", symbol=XBT)

    assert (fill.filled_price, fill.filled_quantity) == (Decimal("9870.5"), 10_000)
    assert fill.fees == 8


@pytest.mark.parametrize(
    ("side", "reached", "profit"),
    [
        (Side.BUY, "9800", "-200"),  # 10,000 x (9800 / 10000 - 1)
        (Side.SELL, "10200", "-200"),
    ],
)
def test_the_stop_loses_what_the_size_was_made_for(side: Side, reached: str, profit: str) -> None:
    desk = inverse_desk()
    desk.enter(10_000, side, XBT)

    desk.trade(reached, XBT)
    desk.wait(1)
    desk.trade(reached, XBT)

    assert desk.orders[-1].origin is Origin.STOP_LOSS
    assert desk.position(XBT) == 0
    assert desk.portfolio.portfolio.state.realised_profit == Decimal(profit)


def test_an_opposite_entry_nets() -> None:
    desk = inverse_desk()
    desk.enter(10_000, symbol=XBT)
    desk.trade(10_000, XBT)
    desk.feed(builders.signal(XBT, Side.SELL, 10_000, desk.now))
    desk.wait(1)
    desk.trade(10_000, XBT)

    # Sized on an equity that is smaller by the first fee of 8: 9,999 of the 10,000.
    assert desk.position(XBT) == 1
    assert desk.portfolio.portfolio.state.fees == 8 + 9_999 * Decimal("0.0008")


@pytest.mark.parametrize(
    ("quantity", "safe", "reached", "taken_over", "margin"),
    [
        # 10 BTC at 10x: margin 1, maintenance 0.05. Long: 100,040 / 10.95, taken over at / 11.
        (100_000, "9136.5", "9136", "9091", 1),
        # Short: 99,960 / 9.05 = 11045.3, taken over at 100,000 / 9.
        (-100_000, "11045", "11045.5", "11111", 1),
    ],
)
def test_liquidation_takes_the_margin_and_a_fee(
    quantity: int, safe: str, reached: str, taken_over: str, margin: int
) -> None:
    position = builders.opening_position(XBT, quantity, 10_000, leverage=10, inverse=True)
    desk = inverse_desk(opening=builders.account(1_000_000, positions=[position]))

    desk.trade(safe, XBT)
    assert desk.orders == []
    desk.trade(reached, XBT)
    desk.wait(1)
    desk.trade(reached, XBT)

    (order,) = desk.orders
    result = desk.results[-1]
    assert order.origin is Origin.LIQUIDATION
    assert (result.liquidity, result.filled_price) == ("liquidation", Decimal(taken_over))
    assert result.fees == 40
    lost = -desk.portfolio.portfolio.state.realised_profit / Decimal(taken_over)
    assert lost == pytest.approx(Decimal(margin), abs=Decimal("0.001"))
    assert desk.position(XBT) == 0


def test_the_next_run_goes_on_with_the_same_equity() -> None:
    desk = inverse_desk()
    desk.enter("9870.5", symbol=XBT)
    desk.trade("9901.5", XBT)
    fold = desk.portfolio.portfolio
    before, (held,) = fold.equity, views.positions(fold)

    opening = RunBook().carried_over(fold)
    desk.feed(builders.run_started(FREE, opening=opening, run_id="run-2", at=desk.now))
    desk.feed(
        builders.instruments(generic_instrument(XBT, Decimal("0.5"), inverse=True), at=desk.now)
    )

    assert opening.positions[0].inverse
    for stage in (desk.risk, desk.execution, desk.portfolio):
        assert stage.portfolio.equity == before
        assert views.positions(stage.portfolio) == (held,)
