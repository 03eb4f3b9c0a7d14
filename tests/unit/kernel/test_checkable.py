"""Every decision carries what a person needs to check it with a pocket calculator."""

from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

import pytest

from services.kernel.events import LayerVerdict, RiskDecision, Side, Verdict
from services.kernel.pipeline import Pipeline
from services.kernel.reasons import Reason
from tests.builders import BTC, ETH, of_type
from tests.unit.kernel import moves
from tests.unit.kernel.desk import Desk
from tests.unit.kernel.random_market import RandomMarket

pytestmark = [pytest.mark.unit, pytest.mark.risk]

EXPOSURE, ALIKE, POSITION = "4 total_exposure", "4 correlated_exposure", "5 position"
VOLUME = "5 volume_share"


def lots(quantity: Decimal, lot: Decimal, rounding: str = ROUND_DOWN) -> Decimal:
    return (quantity / lot).to_integral_value(rounding=rounding) * lot


def checked(decision: RiskDecision) -> tuple[Decimal, Decimal, str | None]:
    """Asked for, allowed and what binds, reckoned anew from what the decision tells."""
    told = decision.sizing
    lot, unit, equity = told["lot_size"], told["unit_value"], told["equity"]
    asked = equity * told["risk_pct"] / (unit * told["stop_pct"])
    asked = lots(min(asked, told.get("asked_at_most", asked)), lot)
    towards = told["position"] * (1 if decision.side is Side.BUY else -1)
    rooms = {
        EXPOSURE: told["max_total_exposure_pct"] * equity - told["elsewhere"],
        POSITION: told["max_position_pct"] * equity,
    }
    if told["elsewhere_alike"]:
        rooms[ALIKE] = told["max_correlated_exposure_pct"] * equity - told["elsewhere_alike"]
    allowed, binding = asked, None
    for name in (EXPOSURE, ALIKE, POSITION):
        room = lots(max(rooms[name] / unit - towards, Decimal(0)), lot) if name in rooms else asked
        if room < allowed:
            allowed, binding = room, name
    thin = lots(max(told["max_volume_share"] * told["traded"] - towards, Decimal(0)), lot)
    if thin < allowed:
        allowed, binding = thin, VOLUME
    smallest = max(lots(told["min_notional"] / unit, lot, ROUND_UP), lot)
    assert smallest == told["smallest"]
    return asked, allowed if allowed >= smallest else Decimal(0), binding


def entries() -> Iterator[RiskDecision]:
    for seed in range(12):
        for decision in of_type(Pipeline().run(RandomMarket(seed).events(300)), RiskDecision):
            if not decision.reduce_only and decision.reason != Reason.INVALID_SIGNAL:
                yield decision


def test_the_size_of_every_entry_can_be_reckoned_from_its_decision() -> None:
    seen = set()
    for decision in entries():
        asked, allowed, binding = checked(decision)

        assert (decision.requested_quantity, decision.quantity) == (asked, allowed), decision
        if decision.verdict is Verdict.TRIMMED:
            assert decision.binding_limit == binding
        seen.add((decision.verdict, decision.binding_limit))
    assert {(Verdict.APPROVED, None), (Verdict.TRIMMED, POSITION)} <= seen


def test_the_same_for_symbols_that_move_alike() -> None:
    desk = Desk({"MAX_CORRELATED_EXPOSURE_PCT": "0.15"}, symbols=(BTC, ETH))
    moves.walk(desk, BTC, ETH)
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    decision = desk.signal(100, symbol=ETH)

    assert checked(decision) == (decision.requested_quantity, decision.quantity, ALIKE)
    assert decision.sizing["elsewhere_alike"] == desk.position(BTC) * 100


def test_every_layer_s_headroom_is_limit_less_value_or_the_other_way_round() -> None:
    for decision in entries():
        for layer in decision.layers:
            if layer.value is None or layer.limit is None or layer.headroom is None:
                assert layer.headroom is None
                continue
            room = layer.limit - layer.value
            assert abs(layer.headroom) - abs(room) < Decimal("1E-7")
            # A few reasons are no comparison: who is halted has room below its limit as well.
            if layer.verdict is LayerVerdict.PASS:
                assert layer.headroom >= 0, layer


def test_a_refused_symbol_shows_the_figure_that_was_too_high() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(106)
    desk.wait(1)
    desk.trade("106.1")

    decision = desk.signal("106.1")

    layer = decision.layers[1]
    assert decision.reason == Reason.PRICE_JUMP
    assert (layer.value, layer.limit, layer.unit) == (Decimal("0.06"), Decimal("0.05"), "fraction")
