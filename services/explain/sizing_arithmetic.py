"""How large an entry was asked to be, what the limits left of it, and the smallest there is."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Final

from services.explain.figures import number
from services.kernel.events import RiskDecision, Verdict

ZERO: Final = Decimal(0)
STEP: Final = Decimal("1E-8")
Figures = Mapping[str, Decimal]

_SHOWN: Final = frozenset(
    (
        *("equity", "risk_pct", "stop_pct", "price", "unit_value", "position", "elsewhere"),
        *("elsewhere_alike", "max_total_exposure_pct", "max_correlated_exposure_pct"),
        *("max_position_pct", "lot_size", "min_notional", "smallest"),
        *("traded", "max_volume_share"),
        *("volatility", "volatility_target_pct"),
    )
)
"""Figures of an entry that the lines below have; others follow as they are."""


def sizing_lines(decision: RiskDecision) -> list[str]:
    """The arithmetic of a candidate, as far as its figures are recorded."""
    figures = dict(decision.sizing)
    if {"equity", "risk_pct", "stop_pct", "price"} <= figures.keys():
        lines = [*_asked(figures), *_limits(decision, figures), *_trimmed(decision)]
        lines += _smallest(figures)
        others = {name: value for name, value in figures.items() if name not in _SHOWN}
    else:
        lines, others = _trimmed(decision), figures
    if others:
        text = (f"{name.replace('_', ' ')} {number(value)}" for name, value in others.items())
        lines.append("with " + ", ".join(text))
    return lines


def _asked(figures: Figures) -> list[str]:
    """What the sizing method asks for."""
    equity, risk, stop = figures["equity"], figures["risk_pct"], figures["stop_pct"]
    value = figures.get("unit_value", figures["price"])
    if not value or not stop:
        return []
    lines = [
        f"sizing: equity {number(equity)} x risk {number(risk)} / (price {number(value)} x stop"
        f" {number(stop)}) = {_quantity(equity * risk / (value * stop))} asked"
    ]
    volatility, target = figures.get("volatility"), figures.get("volatility_target_pct")
    if volatility and target:
        lines.append(
            f"or, if that is less: equity {number(equity)} x target {number(target)} / (volatility"
            f" {number(volatility)} x price {number(value)})"
            f" = {_quantity(equity * target / (volatility * value))}"
        )
    return lines


def _trimmed(decision: RiskDecision) -> list[str]:
    asked, given = decision.requested_quantity, decision.quantity
    if decision.verdict is Verdict.TRIMMED:
        return [f"trimmed from {number(asked)} to {number(given)} by {decision.binding_limit}"]
    if decision.verdict is Verdict.REJECTED and decision.binding_limit:
        return [f"of {number(asked)} asked, {decision.binding_limit} leaves {number(given)}"]
    return []


def _limits(decision: RiskDecision, figures: Figures) -> list[str]:
    """What the limits on exposure leave: (limit x equity - elsewhere) / price - held already."""
    equity, value = figures["equity"], figures.get("unit_value")
    if not value:
        return []
    alike = figures.get("elsewhere_alike", ZERO)
    limits = [
        ("position", figures.get("max_position_pct"), ZERO),
        ("total exposure", figures.get("max_total_exposure_pct"), figures.get("elsewhere", ZERO)),
    ]
    if alike:
        limits.append(("correlated exposure", figures.get("max_correlated_exposure_pct"), alike))
    held = figures.get("position", ZERO) * decision.side.sign
    lines = []
    for name, limit, elsewhere in limits:
        if limit is None:
            continue
        room = (limit * equity - elsewhere) / value - held
        others = f" - {number(elsewhere)} elsewhere" if elsewhere else ""
        own = f" {'-' if held > 0 else '+'} {number(abs(held))} held" if held else ""
        lines.append(
            f"limit on {name}: ({number(limit)} x {number(equity)}{others}) / {number(value)}{own}"
            f" = {_quantity(room)}"
        )
    traded, share = figures.get("traded"), figures.get("max_volume_share")
    if traded is not None and share is not None:
        own = f" {'-' if held > 0 else '+'} {number(abs(held))} held" if held else ""
        lines.append(
            f"limit on volume: {number(share)} x {number(traded)} traded{own}"
            f" = {_quantity(share * traded - held)}"
        )
    return lines


def _smallest(figures: Figures) -> list[str]:
    smallest, lot, worth = (figures.get(n) for n in ("smallest", "lot_size", "min_notional"))
    if smallest is None:
        return []
    parts = []
    if lot is not None:
        parts.append(f"lots of {number(lot)}")
    if worth is not None:
        parts.append(f"worth at least {number(worth)}")
    return [f"smallest order: {number(smallest)}" + (f" ({', '.join(parts)})" if parts else "")]


def _quantity(value: Decimal) -> str:
    return number(value.quantize(STEP, rounding=ROUND_DOWN))
