"""What is kept of an entry's decision, and told of it, beside its size."""

from decimal import Decimal

import pytest

from services.kernel.events import OrderType, Side, Verdict
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_what_a_signal_asks_at_most_is_kept_beside_what_it_was_sized_by() -> None:
    desk = Desk()
    desk.trade(100)

    assert "asked_at_most" not in desk.signal(100, symbol=BTC, side=Side.SELL).sizing
    assert desk.signal(100, quantity=7).sizing["asked_at_most"] == 7


def test_a_limit_off_its_tick_is_decided_at_the_price_it_is_ordered_at() -> None:
    desk = Desk(contracts=[builders.instrument(BTC, tick_size=Decimal("0.5"))])
    desk.trade(100)

    decision = desk.signal(100, order_type=OrderType.LIMIT, limit_price="99.7")

    assert decision.price == desk.orders[-1].price == Decimal("99.5")


def test_an_alert_about_a_limit_says_whether_it_trims_or_blocks() -> None:
    desk = Desk({"MAX_POSITION_PCT": "0.05"})
    desk.enter(100)
    desk.wait(59)
    desk.trade(100)

    desk.signal(100)

    told = [alert.message for alert in desk.alerts_of("RISK_LIMIT") if alert.layer == 5]
    assert told == [
        f"{BTC}: layer 5 binds (trimmed)",
        f"{BTC}: layer 5 binds ({Reason.POSITION_LIMIT})",
    ]


def test_a_position_without_contract_details_counts_at_its_mark_price() -> None:
    position = builders.opening_position(ETH, 100, 250)
    desk = Desk(
        contracts=[builders.instrument(BTC)], opening=builders.account(positions=[position])
    )
    desk.trade(100)

    decision = desk.signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 50)
    assert decision.binding_limit == "4 total_exposure"


@pytest.mark.parametrize(("fair", "source"), [(True, "mark"), (False, "last")])
def test_the_sixth_layer_says_which_price_the_stop_will_work_on(fair: bool, source: str) -> None:
    desk = Desk()
    desk.trade(100)
    if fair:
        desk.feed(builders.mark(BTC, 101, desk.now))

    detail = desk.signal(100).layers[5].detail

    assert f"works on the {source} price {101 if fair else 100}" in detail


def test_a_limit_that_would_trim_is_not_named_where_something_else_refuses() -> None:
    desk = Desk({"MAX_POSITION_PCT": "0.05"})
    desk.trade(100)
    desk.feed(builders.pause(BTC, at=desk.now))

    refused = desk.signal(100)
    assert (refused.reason, refused.quantity, refused.binding_limit) == (Reason.PAUSED, 50, None)

    desk.feed(builders.resume(BTC, at=desk.now))
    assert desk.signal(100).binding_limit == "5 position"
