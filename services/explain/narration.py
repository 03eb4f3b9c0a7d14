"""Each kind of event in words and figures that a pocket calculator can check."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from services.explain.figures import layer_line, moment, money, number, percent
from services.explain.sizing_arithmetic import sizing_lines
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
    Side,
    Signal,
    TradingStateChanged,
)

Narration = tuple[str, list[str]]
_TRADE_FIGURES: Final = (
    *("quantity", "entry_price", "exit_price", "gross_profit", "fees_open", "fees_close"),
    *("funding", "profit_loss"),
)


def narrate(event: AnyEvent) -> Narration:
    """Title and lines of an event, its place at the end."""
    title, lines = figures_of(event)
    return title, [*lines, place(event)]


def figures_of(event: AnyEvent) -> Narration:
    """Title and lines of an event."""
    narrator = _NARRATORS.get(type(event))
    if narrator is not None:
        text: Narration = narrator(event)
        return text
    reason = getattr(event, "reason", "")
    return f"{event.__struct_config__.tag} {reason}".strip(), []


def place(event: AnyEvent) -> str:
    """Id, seq and time of an event."""
    return f"{event.event_id} at seq {event.seq}, {moment(event.timestamp)}"


def trade_line(trade: Mapping[str, Any]) -> str:
    """What a closing fill earned, as table ``trades`` has it."""
    figure = {name: Decimal(str(trade[name])) for name in _TRADE_FIGURES}
    held = "long" if trade["side"] == Side.BUY else "short"
    reason = str(trade["exit_reason"]).replace("_", " ")
    funding = figure["funding"]
    return (
        f"closed {number(figure['quantity'])} of a {held} position ({reason}): in at"
        f" {number(figure['entry_price'])}, out at {number(figure['exit_price'])}, gross"
        f" {money(figure['gross_profit'])} - {money(figure['fees_open'])} for opening"
        f" - {money(figure['fees_close'])} for closing {'-' if funding < 0 else '+'}"
        f" {money(abs(funding))} funding = {money(figure['profit_loss'])}"
    )


def _tick(tick: MarketData) -> Narration:
    kept = [f"{tick.kind} {tick.symbol}"]
    if tick.kind is MarketDataKind.TRADE:
        kept.append(f"{number(tick.volume)} at {number(tick.price)}")
    for name in ("bid", "ask", "mark_price", "funding_rate"):
        value = getattr(tick, name)
        if value is not None:
            kept.append(f"{name.replace('_', ' ')} {number(value)}")
    return "tick: " + ", ".join(kept), [f"from {tick.source}"]


def _signal(signal: Signal) -> Narration:
    kind = " (exit)" if signal.reduce_only else ""
    title = f"signal: {signal.direction} {signal.symbol} at {number(signal.price)}{kind}"
    indicators = ", ".join(f"{name} {number(v)}" for name, v in signal.indicators.items())
    return title, [
        f"{signal.strategy_id}: {signal.reason}",
        f"indicators: {indicators or 'none'}; strength {number(signal.strength)}",
    ]


def _decision(decision: RiskDecision) -> Narration:
    why = decision.reason or (f"by {decision.binding_limit}" if decision.binding_limit else "")
    what = f"{decision.side} {number(decision.quantity)} {decision.symbol}"
    title = f"risk: {decision.verdict} {what} {why}".rstrip()
    lines = [f"equity {money(decision.equity)}, trading {decision.trading_state}"]
    if decision.origin != "signal":
        title = f"risk's own exit ({decision.origin}): {what}"
        if decision.stop_loss_price is not None and "mark_price" in decision.sizing:
            source = decision.price_source or "mark"
            now = number(decision.sizing["mark_price"])
            lines.append(f"stop at {number(decision.stop_loss_price)}, {source} price {now}")
    lines += [
        *sizing_lines(decision),
        *(
            f"layer {result.layer} {result.name}: {layer_line(result)}"
            for result in decision.layers
        ),
    ]
    return title, lines


def _order(order: Order) -> Narration:
    kind = ", reduce-only" if order.reduce_only else ""
    what = f"{order.side} {number(order.quantity)} {order.symbol}"
    title = f"order: {order.order_type} {what} at {number(order.price)}{kind}"
    approved = order.approved_by or "nobody: it came from outside"
    notional = money(order.quantity * order.price)
    lines = [f"worth {notional}, {number(order.leverage)}x, approved by {approved}"]
    if order.stop_loss_price is not None:
        away = abs(order.price - order.stop_loss_price) / order.price
        lines.append(f"stop-loss at {number(order.stop_loss_price)}, {percent(away)} away")
    return title, lines


def _result(result: OrderResult) -> Narration:
    if result.filled_price is None or result.filled_quantity <= 0:
        return f"result: {result.status} {result.reason or ''}".rstrip(), []
    title = (
        f"result: {result.status} {result.side} {number(result.filled_quantity)} {result.symbol}"
        f" at {number(result.filled_price)}"
    )
    lines = _fill_arithmetic(result)
    if result.latency_ms is not None:
        lines.append(f"{result.latency_ms} ms after the order, as {result.liquidity}")
    return title, lines


def _fill_arithmetic(result: OrderResult) -> list[str]:
    fill, price = result.fill, result.filled_price
    assert price is not None
    lines = []
    if "touch" in fill and "half_spread" in fill:
        sign, back = ("+", -1) if result.side.sign > 0 else ("-", 1)
        middle = fill["touch"] + back * fill["half_spread"]
        lines.append(
            f"touch: middle {number(middle)} {sign} half spread {number(fill['half_spread'])}"
            f" = {number(fill['touch'])}"
        )
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
        name: v
        for name, v in fill.items()
        if name not in ("touch", "half_spread", "impact_pct", "fee_rate")
    }
    if others:
        text = (f"{name.replace('_', ' ')} {number(v)}" for name, v in others.items())
        lines.append("with " + ", ".join(text))
    return lines


def _clock(clock: Clock) -> Narration:
    return f"clock {moment(clock.timestamp)}", []


def _state(change: TradingStateChanged) -> Narration:
    whom = change.symbol or "account"
    return f"{whom}: {change.previous} -> {change.state}", [change.message]


def _alert(alert: Alert) -> Narration:
    title = f"alert {alert.level} {alert.code} {alert.phase}"
    return title, [alert.message]


def _condition(condition: Condition) -> Narration:
    title = f"condition {condition.name} {condition.phase}"
    return title, [condition.detail]


def _snapshot(snapshot: PortfolioSnapshot) -> Narration:
    return f"portfolio snapshot, equity {money(snapshot.equity)}", []


def _run(run: RunStarted) -> Narration:
    return f"run started: {run.source}, code {run.code_version}", []


_NARRATORS: Final[Mapping[type, Callable[[Any], Narration]]] = {
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
