"""Entries: size the candidate, let all seven layers judge it, decide, and order it."""

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from services.kernel.desk import Desk, DeskParts
from services.kernel.events import (
    AlertLevel,
    LayerResult,
    Origin,
    RiskDecision,
    Signal,
    Verdict,
)
from services.kernel.portfolio.stops import stop_price
from services.kernel.reasons import Reason
from services.kernel.risk import exposure
from services.kernel.risk.checks.candidate import RiskCheckInput
from services.kernel.risk.checks.layers import RiskAssessment, assess
from services.kernel.risk.decisions import DecisionPublisher
from services.kernel.risk.order_terms import LIMITED, terms_of, validate
from services.kernel.risk.sizing import RequestedSize, SizedEntry, requested_size, size_entry
from services.kernel.risk.state.risk_state import PendingOrder, RiskState
from services.kernel.units import HOUR_MS, ZERO

HEADROOM_REASONS = {
    exposure.EXPOSURE_LAYER: Reason.EXPOSURE_LIMIT,
    exposure.CORRELATED_LAYER: Reason.CORRELATED_EXPOSURE,
    exposure.POSITION_LAYER: Reason.POSITION_LIMIT,
    exposure.VOLUME_LAYER: Reason.VOLUME_LIMIT,
}
COST_LAYER = 2
DUPLICATE = "a signal with this signal_id was decided before"
BLOCK_ALERTS = {
    COST_LAYER: (AlertLevel.INFO, str(Reason.COST_TOO_HIGH)),
    4: (AlertLevel.INFO, "RISK_LIMIT"),
    5: (AlertLevel.WARNING, "RISK_LIMIT"),
    7: (AlertLevel.INFO, "RISK_LIMIT"),
}
"""Layers that alert when they bind; layers 1 to 3 alert when their state changes, but for cost."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that is being decided: what was asked for, what fits, what the layers see."""

    signal: Signal
    requested: RequestedSize
    sized: SizedEntry
    inputs: RiskCheckInput


class EntryDesk(Desk[RiskState]):
    """Turns a signal into a decision, and an approved one into an order."""

    def __init__(self, parts: DeskParts[RiskState]) -> None:
        super().__init__(parts)
        self._decisions = DecisionPublisher(parts)

    def decide(self, signal: Signal) -> None:
        """Decide one entry signal."""
        problem = _problem(signal)
        if problem is not None:
            self._alarm.see(
                AlertLevel.WARNING,
                "INVALID_SIGNAL",
                f"{signal.symbol}: {problem}",
                symbol=signal.symbol,
            )
            self._reject(signal, Reason.INVALID_SIGNAL, problem)
            return
        self._alarm.clear("INVALID_SIGNAL", symbol=signal.symbol)
        # From here on its price is the order's: what it would be filled at, its limit or trigger.
        terms = terms_of(signal, self._state.instrument(signal.symbol))
        candidate = self._candidate(msgspec.structs.replace(signal, price=terms.price))
        sized = candidate.sized
        assessment = assess(candidate.inputs)
        self._alert_limits(signal.symbol, assessment, sized)
        reason = assessment.reason
        if reason is None and not sized.tradable:
            reason = HEADROOM_REASONS.get(sized.binding_limit or "", Reason.BELOW_MINIMUM)
        if reason is None:
            self._approve(candidate, assessment.results)
        else:
            self._decide(candidate, assessment.results, Verdict.REJECTED, reason)

    def refuse_duplicate(self, signal: Signal) -> None:
        """Refuse a signal whose ``signal_id`` was decided before."""
        self._reject(signal, Reason.DUPLICATE_SIGNAL, DUPLICATE)

    def _check_input(
        self,
        signal: Signal,
        quantity: Decimal,
        price: Decimal,
        stop_pct: Decimal,
        others: exposure.OtherExposure,
    ) -> RiskCheckInput:
        """What the layers see for this signal and quantity at this price."""
        state, portfolio, settings = self._state, self._portfolio, self._settings
        instrument = self._state.instrument(signal.symbol)
        position = exposure.position_with_pending(state, portfolio, signal.symbol, signal.direction)
        tier = instrument.tier(position + quantity * signal.direction.sign)
        terms = terms_of(signal, instrument)
        # What waits for its trigger opens nothing at today's price.
        mark_price = None if terms.untriggered else portfolio.mark_price(signal.symbol)
        return RiskCheckInput(
            settings=settings,
            instrument=instrument,
            contract_known=signal.symbol in state.instruments,
            health=state.symbol_health(signal.symbol),
            side=signal.direction,
            quantity=quantity,
            price=price,
            order_price=signal.price,
            mark_price=mark_price,
            at_market=terms.takes_at_once,
            limited=terms.order_type in LIMITED,
            stop_loss_price=self._stop(signal, quantity, stop_pct),
            leverage=min(settings.max_leverage, tier.max_leverage),
            equity=portfolio.equity,
            daily_drawdown_pct=portfolio.daily_drawdown_pct,
            drawdown_pct=portfolio.drawdown_pct,
            account_state=state.account,
            position=position,
            others=others,
            streak=state.streak(signal.symbol),
            entries_last_hour=state.entries_within_the_hour(),
            open_conditions=state.open_conditions(signal.symbol),
            now=state.clock,
            signal_age_ms=state.clock - signal.timestamp,
            unconfirmed_jump=portfolio.unconfirmed_jump(signal.symbol),
            price_source=portfolio.price_source(signal.symbol),
            in_universe=state.may_enter(signal.symbol),
        )

    def _stop(self, signal: Signal, quantity: Decimal, stop_pct: Decimal) -> Decimal:
        """Where the stop would be if all of it filled at the signal's price."""
        return stop_price(
            signal.direction,
            signal.price,
            stop_pct=stop_pct,
            risked=self._settings.risk_per_trade_pct * self._portfolio.equity,
            ordered=quantity,
            unfilled=quantity,
            instrument=self._state.instrument(signal.symbol),
            position=self._portfolio.state.positions.get(signal.symbol),
        )

    def _others(self, signal: Signal) -> exposure.OtherExposure:
        return exposure.other_exposure(
            self._state,
            self._portfolio,
            signal.symbol,
            signal.direction,
            self._settings.correlation_threshold,
        )

    def _candidate(self, signal: Signal) -> Candidate:
        """Size what the signal asks for; the price is the worse of the signal's and the mark."""
        symbol, portfolio = signal.symbol, self._portfolio
        price = max(signal.price, portfolio.mark_price(symbol) or ZERO)
        asked = requested_size(
            self._settings,
            equity=max(portfolio.equity, ZERO),
            price=price,
            unit_value=self._state.instrument(symbol).unit_value(price),
            volatility=self._state.volatility.get(symbol),
            results=portfolio.state.round_trips,
        )
        others = self._others(signal)
        sized = self._size(signal, asked, price, others)
        judged = sized.quantity or sized.smallest
        inputs = self._check_input(signal, judged, price, asked.stop_pct, others)
        return Candidate(signal, asked, sized, inputs)

    def _size(
        self,
        signal: Signal,
        asked_for: RequestedSize,
        price: Decimal,
        others: exposure.OtherExposure,
    ) -> SizedEntry:
        settings, portfolio = self._settings, self._portfolio
        equity = max(portfolio.equity, ZERO)
        instrument = self._state.instrument(signal.symbol)
        unit = instrument.unit_value(price)
        asked = asked_for.quantity
        if signal.quantity is not None:
            asked = min(asked, signal.quantity)
        state, side = self._state, signal.direction
        rooms = exposure.headrooms(
            settings=settings,
            equity=equity,
            unit_value=unit,
            side=side,
            position=exposure.position_with_pending(state, portfolio, signal.symbol, side),
            others=others,
            traded=instrument.quantity_of(
                state.symbol_health(signal.symbol).traded.within(
                    state.clock, settings.lookback_minutes
                ),
                price,
            ),
        )
        return size_entry(asked, rooms, instrument, unit, settings.min_notional)

    def _approve(self, candidate: Candidate, results: tuple[LayerResult, ...]) -> None:
        signal, sized = candidate.signal, candidate.sized
        terms = terms_of(signal, candidate.inputs.instrument)
        verdict = Verdict.TRIMMED if sized.quantity < sized.requested else Verdict.APPROVED
        decision = self._decide(candidate, results, verdict, None)
        order_id = self._decisions.place(
            decision,
            terms,
            stop_loss_price=decision.stop_loss_price,
            risk_checks={result.name: result.verdict for result in results},
        )
        self._state.pending[order_id] = PendingOrder(
            symbol=signal.symbol,
            side=signal.direction,
            quantity=sized.quantity,
            price=candidate.inputs.price,
            reduce_only=False,
        )
        self._state.entry_times = [
            time for time in self._state.entry_times if time > self._state.clock - HOUR_MS
        ]
        self._state.entry_times.append(self._state.clock)

    def _decide(
        self,
        candidate: Candidate,
        results: tuple[LayerResult, ...],
        verdict: Verdict,
        reason: Reason | None,
    ) -> RiskDecision:
        signal, sized, inputs = candidate.signal, candidate.sized, candidate.inputs
        trimmed = verdict is Verdict.TRIMMED or not sized.tradable
        return self._decisions.decide(
            signal=signal,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            reduce_only=False,
            verdict=verdict,
            reason=reason,
            binding_limit=sized.binding_limit if trimmed else None,
            requested=sized.requested,
            quantity=sized.quantity,
            price=signal.price,
            stop_loss_price=inputs.stop_loss_price,
            leverage=inputs.leverage,
            sizing={
                **candidate.requested.figures,
                **({} if signal.quantity is None else {"asked_at_most": signal.quantity}),
                **inputs.figures,
                "smallest": sized.smallest,
            },
            layers=results,
            price_source=None,
        )

    def _reject(self, signal: Signal, reason: Reason, detail: str) -> None:
        """Reject a signal that no layer measures."""
        leverage = self._settings.max_leverage
        self._decisions.reject(signal, reason, detail, price=None, leverage=leverage)

    def _alert_limits(self, symbol: str, assessment: RiskAssessment, sized: SizedEntry) -> None:
        """Alert when cost or layers 4, 5 and 7 begin to bind, and when they no longer do.

        What a thin market allows changes with every trade: it is no alert.
        """
        binding = {
            layer: str(reason)
            for layer, reason in assessment.failures
            if reason is not Reason.VOLUME_LIMIT
        }
        if sized.binding_limit == exposure.POSITION_LAYER:
            binding.setdefault(5, "trimmed")
        for layer, (level, code) in BLOCK_ALERTS.items():
            if layer == COST_LAYER and binding.get(layer, code) != code:
                continue  # a market that pauses: what an entry costs there was not asked
            if layer in binding:
                message = f"{symbol}: layer {layer} binds ({binding[layer]})"
                self._alarm.see(level, code, message, symbol=symbol, layer=layer)
            else:
                self._alarm.clear(code, symbol=symbol, layer=layer)


def _problem(signal: Signal) -> str | None:
    quantity = signal.quantity
    if quantity is not None and (not quantity.is_finite() or quantity <= 0):
        return f"quantity {quantity} cannot be traded; a finite quantity above 0 is needed"
    return validate(signal)
