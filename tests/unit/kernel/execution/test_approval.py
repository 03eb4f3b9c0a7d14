"""Approval: what makes an order an approved one, and that nothing else does."""

import pytest
from msgspec.structs import replace

from services.kernel.events import Order, RiskDecision, Side, Verdict
from services.kernel.execution.approval import Approval, ApprovedOrder, approve
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH

pytestmark = [pytest.mark.unit, pytest.mark.risk]

ORDER = builders.order(quantity=10)


def approval_of(order: Order) -> Approval:
    approval = Approval.of(builders.decision(order))
    assert approval is not None
    return approval


def test_a_published_approval_makes_an_approved_order() -> None:
    approved = approve(ORDER, approval_of(ORDER))

    assert isinstance(approved, ApprovedOrder)
    assert approved.order is ORDER


@pytest.mark.parametrize(
    ("decision", "is_approval"),
    [
        (builders.decision(ORDER), True),
        (builders.decision(ORDER, verdict=Verdict.TRIMMED), True),
        (builders.decision(ORDER, verdict=Verdict.REJECTED), False),
        (replace(builders.decision(ORDER), order_id=None), False),
    ],
)
def test_a_decision_approves_unless_it_rejects(decision: RiskDecision, is_approval: bool) -> None:
    assert (Approval.of(decision) is not None) is is_approval


@pytest.mark.parametrize(
    "changed",
    [
        {"symbol": ETH},
        {"side": Side.SELL},
        {"reduce_only": True},
        {"quantity": ORDER.quantity + 1},
        {"quantity": ORDER.quantity * 0},
        {"quantity": -ORDER.quantity},
    ],
)
def test_an_order_that_differs_from_its_approval_is_refused(changed: dict[str, object]) -> None:
    other = replace(ORDER, **changed)
    approval = approval_of(ORDER)

    assert ORDER.symbol == BTC
    assert approve(other, approval) is Reason.LARGER_THAN_APPROVED
    with pytest.raises(ValueError, match="is not what was approved"):
        ApprovedOrder(other, approval)


def test_a_smaller_order_than_approved_is_accepted() -> None:
    smaller = replace(ORDER, quantity=ORDER.quantity - 1)
    assert isinstance(approve(smaller, approval_of(ORDER)), ApprovedOrder)


def test_without_an_approval_no_approved_order_can_be_made() -> None:
    unsigned = replace(ORDER, approved_by=None)

    assert approve(ORDER, None) is Reason.NOT_APPROVED
    assert approve(unsigned, approval_of(ORDER)) is Reason.NOT_APPROVED
    with pytest.raises(ValueError, match="is not what was approved"):
        ApprovedOrder(unsigned, approval_of(ORDER))
