"""Risk's decisions and the orders that follow from them: each built in one place."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypedDict, Unpack

from services.kernel.desk import Desk
from services.kernel.events import (
    LayerResult,
    LayerVerdict,
    Order,
    Origin,
    PriceSource,
    RiskDecision,
    Side,
    Signal,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.risk.checks.layers import not_measured
from services.kernel.risk.order_terms import OrderTerms
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.units import ZERO


class DecisionFields(TypedDict):
    """The fields of `RiskDecision` that the caller knows.

    Attributes:
        quantity: What is approved, in the contract's unit; 0 where nothing can be traded.
        price: Quote per base; None where the signal's cannot be used.
        binding_limit: The limit that trimmed the quantity.
        price_source: Which price an exit was decided at.
    """

    origin: Origin
    symbol: str
    side: Side
    reduce_only: bool
    verdict: Verdict
    reason: Reason | None
    binding_limit: str | None
    quantity: Decimal
    price: Decimal | None
    stop_loss_price: Decimal | None
    leverage: Decimal
    sizing: dict[str, Decimal]
    layers: tuple[LayerResult, ...]
    price_source: PriceSource | None


class DecisionPublisher(Desk[RiskState]):
    """Publishes decisions and orders; fields that follow from the account are filled in here."""

    def reject(
        self,
        signal: Signal,
        reason: Reason,
        detail: str,
        *,
        price: Decimal | None,
        leverage: Decimal,
    ) -> None:
        """Publish the rejection of a signal that no layer measured.

        Args:
            signal: An entry or an exit.
            reason: Why it is rejected.
            detail: The same for people; becomes the detail of every layer.
            price: The signal's, quote per base; None where it cannot be used.
            leverage: Of the position that it was to open or reduce.
        """
        self.decide(
            signal=signal,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            reduce_only=signal.reduce_only,
            verdict=Verdict.REJECTED,
            reason=reason,
            requested=ZERO,
            quantity=ZERO,
            price=price,
            stop_loss_price=None,
            leverage=leverage,
            binding_limit=None,
            price_source=None,
            sizing={},
            layers=not_measured(detail),
        )

    def decide(
        self,
        *,
        signal: Signal | None,
        requested: Decimal,
        **fields: Unpack[DecisionFields],
    ) -> RiskDecision:
        """Publish one decision; the order of an approved one must be the next event.

        Args:
            signal: What is decided; None for risk's own exit, which starts a correlation.
            requested: Quantity before trimming, in the contract's unit.
            fields: The other fields of `RiskDecision` that do not follow from the account.
        """
        decision_id = self._emitter.next_id()
        rejected = fields["verdict"] is Verdict.REJECTED
        return self._emitter.emit(
            RiskDecision,
            correlation_id=decision_id if signal is None else signal.correlation_id,
            decision_id=decision_id,
            signal_id=None if signal is None else signal.signal_id,
            order_id=None if rejected else self._emitter.id_after_next(),
            requested_quantity=requested,
            equity=self._portfolio.equity,
            trading_state=self._state.account,
            **fields,
        )

    def place(
        self,
        decision: RiskDecision,
        terms: OrderTerms,
        *,
        stop_loss_price: Decimal | None,
        risk_checks: Mapping[str, LayerVerdict],
    ) -> str:
        """Publish the order of the approved decision that was published last.

        Args:
            decision: With its ``order_id``.
            terms: Order type, prices and time in force.
            stop_loss_price: Stop of an entry; None for an exit.
            risk_checks: Verdict of each layer by its name.

        Returns:
            The order's id.
        """
        order_id = decision.order_id
        assert order_id is not None, "only an approved decision has an order"
        self._emitter.emit(
            Order,
            correlation_id=decision.correlation_id,
            order_id=order_id,
            signal_id=decision.signal_id,
            origin=decision.origin,
            symbol=decision.symbol,
            side=decision.side,
            quantity=decision.quantity,
            price=terms.price,
            order_type=terms.order_type,
            trigger_price=terms.trigger_price,
            time_in_force=terms.time_in_force,
            post_only=terms.post_only,
            reduce_only=decision.reduce_only,
            stop_loss_price=stop_loss_price,
            leverage=decision.leverage,
            approved_by=self._emitter.producer,
            risk_checks=dict(risk_checks),
        )
        return order_id
