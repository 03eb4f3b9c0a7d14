"""Approval: an order enters execution only together with risk's published approval of it."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import Order, RiskDecision, Side, Verdict
from services.kernel.reasons import Reason
from services.kernel.units import ZERO


class Approval(Struct, kw_only=True):
    """What risk approved, once; ``quantity`` is the most that the order may have."""

    symbol: str
    side: Side
    quantity: Decimal
    reduce_only: bool

    @classmethod
    def of(cls, decision: RiskDecision) -> "Approval | None":
        """The approval that a published decision is; None for a rejection."""
        if decision.verdict is Verdict.REJECTED or decision.order_id is None:
            return None
        return cls(
            symbol=decision.symbol,
            side=decision.side,
            quantity=decision.quantity,
            reduce_only=decision.reduce_only,
        )

    def covers(self, order: Order) -> bool:
        """Whether the order is the approved one, and not larger."""
        return (
            self.symbol == order.symbol
            and self.side is order.side
            and self.reduce_only == order.reduce_only
            and ZERO < order.quantity <= self.quantity
        )


class ApprovedOrder:
    """An order that risk approved; made from the order and its approval only.

    Args:
        order: As it was published.
        approval: What risk approved for its id.

    Raises:
        ValueError: The approval is of another order, or of less.
    """

    __slots__ = ("_order",)

    def __init__(self, order: Order, approval: Approval) -> None:
        if order.approved_by is None or not approval.covers(order):
            raise ValueError(f"order {order.order_id} is not what was approved: {approval}")
        self._order = order

    @property
    def order(self) -> Order:
        """The order itself."""
        return self._order


def approve(order: Order, approval: Approval | None) -> ApprovedOrder | Reason:
    """The order together with its approval, or why it has none.

    Args:
        order: As it was published.
        approval: What risk approved for this id, if it did.
    """
    if approval is None or order.approved_by is None:
        return Reason.NOT_APPROVED
    if not approval.covers(order):
        return Reason.LARGER_THAN_APPROVED
    return ApprovedOrder(order, approval)
