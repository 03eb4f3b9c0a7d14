"""Each kind of event in words and figures that a pocket calculator can check."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from services.kernel.events import (
    Alert,
    AnyEvent,
    Clock,
    Condition,
    MarketData,
    MarketDataKind,
    Order,
    OrderResult,
    PortfolioSnapshot,
    RiskDecision,
    RunStarted,
    Signal,
    TradingStateChanged,
    Verdict,
)
from services.research.explanation.figures import layer_line, moment, money, number, percent

Told = tuple[str, list[str]]


def narrate(event: AnyEvent) -> Told:
    """Title and lines of an event."""
    teller = _TELLERS.get(type(event))
    if teller is not None:
        told: Told = teller(event)
        return told
    reason = getattr(event, "reason", "")
    return f"{event.__struct_config__.tag} {reason}".strip(), [_place(event)]


def trade_line(trade: Mapping[str, Any]) -> str:
    """What a closing fill earned, as table ``trades`` has it."""
    entry, left = Decimal(str(trade["entry_price"])), Decimal(str(trade["exit_price"]))
    return (
        f"closed {number(Decimal(str(trade['quantity'])))} of a {trade['side']} position opened"
        f" at {number(entry)}, closed at {number(left)}: profit"
        f" {money(Decimal(str(trade['profit_loss'])))} before fees"
    )


def _place(event: AnyEvent) -> str:
    return f"{event.event_id} at seq {event.seq}, {moment(event.timestamp)}"


def _tick(tick: MarketData) -> Told:
    kept = [f"{tick.kind} {tick.symbol}"]
    if tick.kind is MarketDataKind.TRADE:
        kept.append(f"{number(tick.volume)} at {number(tick.price)}")
    for name in ("bid", "ask", "mark_price", "funding_rate"):
        value = getattr(tick, name)
        if value is not None:
            kept.append(f"{name.replace('_', ' ')} {number(value)}")
    return "tick: " + ", ".join(kept), [f"from {tick.source}", _place(tick)]


def _signal(signal: Signal) -> Told:
    kind = " (exit)" if signal.reduce_only else ""
    title = f"signal: {signal.direction} {signal.symbol} at {number(signal.price)}{kind}"
    indicators = ", ".join(f"{name} {number(v)}" for name, v in signal.indicators.items())
    return title, [
        f"{signal.strategy_id}: {signal.reason}",
        f"indicators: {indicators or 'none'}; strength {number(signal.strength)}",
        _place(signal),
    ]


def _decision(decision: RiskDecision) -> Told:
    why = decision.reason or (f"by {decision.binding_limit}" if decision.binding_limit else "")
    what = f"{decision.side} {number(decision.quantity)} {decision.symbol}"
    title = f"risk: {decision.verdict} {what} {why}".rstrip()
    if decision.origin != "signal":
        title = f"risk's own exit ({decision.origin}): {what}"
    lines = [
        f"equity {money(decision.equity)}, trading {decision.trading_state}",
        *_sizing(decision),
        *(
            f"layer {result.layer} {result.name}: {layer_line(result)}"
            for result in decision.layers
        ),
        _place(decision),
    ]
    return title, lines


def _sizing(decision: RiskDecision) -> list[str]:
    """The arithmetic of the candidate; figures that it does not use follow as they are."""
    figures = dict(decision.sizing)
    if not figures:
        return []
    lines = []
    terms = [figures.get(name) for name in ("equity", "risk_pct", "price", "stop_pct")]
    if None not in terms:
        equity, risk, price, stop = (term for term in terms if term is not None)
        if price and stop:
            lines.append(
                f"sizing: {number(equity)} x {number(risk)} / ({number(price)} x {number(stop)})"
                f" = {number((equity * risk / (price * stop)).quantize(Decimal('1E-8')))} asked"
            )
    asked, given = decision.requested_quantity, decision.quantity
    if decision.verdict is Verdict.TRIMMED:
        lines.append(f"trimmed from {number(asked)} to {number(given)} by {decision.binding_limit}")
    elif decision.verdict is Verdict.REJECTED and decision.binding_limit:
        lines.append(f"of {number(asked)} asked, {decision.binding_limit} leaves {number(given)}")
    told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
    return [*lines, f"with {told}"]


def _order(order: Order) -> Told:
    kind = ", reduce-only" if order.reduce_only else ""
    what = f"{order.side} {number(order.quantity)} {order.symbol}"
    title = f"order: {order.order_type} {what} at {number(order.price)}{kind}"
    approved = order.approved_by or "nobody: it came from outside"
    notional = money(order.quantity * order.price)
    lines = [f"worth {notional}, {number(order.leverage)}x, approved by {approved}"]
    if order.stop_loss_price is not None:
        away = abs(order.price - order.stop_loss_price) / order.price
        lines.append(f"stop-loss at {number(order.stop_loss_price)}, {percent(away)} away")
    return title, [*lines, _place(order)]


def _result(result: OrderResult) -> Told:
    if result.filled_price is None or result.filled_quantity <= 0:
        return f"result: {result.status} {result.reason or ''}".rstrip(), [_place(result)]
    title = (
        f"result: {result.status} {result.side} {number(result.filled_quantity)} {result.symbol}"
        f" at {number(result.filled_price)}"
    )
    lines = _fill_arithmetic(result)
    if result.latency_ms is not None:
        lines.append(f"{result.latency_ms} ms after the order, as {result.liquidity}")
    return title, [*lines, _place(result)]


def _fill_arithmetic(result: OrderResult) -> list[str]:
    fill, price = result.fill, result.filled_price
    assert price is not None
    lines = []
    if "touch" in fill and "impact_pct" in fill:
        sign = "+" if result.side.sign > 0 else "-"
        impact = number(fill["impact_pct"])
        lines.append(
            f"price: touch {number(fill['touch'])} x (1 {sign} impact {impact}),"
            f" rounded to ticks against the trader = {number(price)}"
        )
    rate = fill.get("fee_rate")
    value = price * result.filled_quantity
    if rate is not None:
        lines.append(
            f"fee: {number(price)} x {number(result.filled_quantity)} x {number(rate)}"
            f" = {number(result.fees)} (value {money(value)})"
        )
    if result.slippage_bps is not None:
        lines.append(f"slippage {number(result.slippage_bps)} bp against the price decided at")
    others = {
        name: v for name, v in fill.items() if name not in ("touch", "impact_pct", "fee_rate")
    }
    if others:
        lines.append("with " + ", ".join(f"{name} {number(v)}" for name, v in others.items()))
    return lines


def _clock(clock: Clock) -> Told:
    return f"clock {moment(clock.timestamp)}", [_place(clock)]


def _state(change: TradingStateChanged) -> Told:
    whom = change.symbol or "account"
    return f"{whom}: {change.previous} -> {change.state}", [change.message, _place(change)]


def _alert(alert: Alert) -> Told:
    title = f"alert {alert.level} {alert.code} {alert.phase}"
    return title, [alert.message, _place(alert)]


def _condition(condition: Condition) -> Told:
    title = f"condition {condition.name} {condition.phase}"
    return title, [condition.detail, _place(condition)]


def _snapshot(snapshot: PortfolioSnapshot) -> Told:
    return f"portfolio snapshot, equity {money(snapshot.equity)}", [_place(snapshot)]


def _run(run: RunStarted) -> Told:
    return f"run started: {run.source}, code {run.code_version}", [_place(run)]


_TELLERS: Final[Mapping[type, Callable[[Any], Told]]] = {
    MarketData: _tick,
    Clock: _clock,
    Signal: _signal,
    RiskDecision: _decision,
    Order: _order,
    OrderResult: _result,
    TradingStateChanged: _state,
    Alert: _alert,
    Condition: _condition,
    PortfolioSnapshot: _snapshot,
    RunStarted: _run,
}
