"""Every guarding rule, and how to switch it off: without it its scenarios must fail."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import Order, Origin
from services.kernel.execution import open_orders as execution_desk
from services.kernel.execution.approval import ApprovedOrder
from services.kernel.execution.stage import ExecutionStage
from services.kernel.instruments import perpetuals
from services.kernel.market import prices
from services.kernel.matching.fills import SimulatedMarket
from services.kernel.portfolio import margin
from services.kernel.portfolio.account import Position
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.risk import exposure
from services.kernel.risk.checks import layer_checks, layers
from services.kernel.risk.checks.candidate import CheckResult
from services.kernel.risk.exits import ExitDesk
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.risk.trading_state import control
from services.kernel.risk.trading_state.control import TradingControl
from services.kernel.strategies import Intent, Momentum
from services.kernel.strategies.momentum import SymbolMomentum

Patch = pytest.MonkeyPatch


def _nothing(*_: Any, **__: Any) -> None:
    """A rule that does nothing any more."""


def _never(*_: Any, **__: Any) -> bool:
    return False


def _always(*_: Any, **__: Any) -> bool:
    return True


def _layer_off(number: int, patch: Patch) -> None:
    def passes(_: object) -> CheckResult:
        return CheckResult(Decimal(0), None, None, "switched off")

    table = [
        replace(layer, check=passes) if layer.number == number else layer for layer in layers.LAYERS
    ]
    patch.setattr(layers, "LAYERS", tuple(table))


def _stop_loss(patch: Patch) -> None:
    forced = ExitDesk._forced

    def without_stops(desk: ExitDesk, *given: Any) -> Origin | None:
        origin = forced(desk, *given)
        return None if origin is Origin.STOP_LOSS else origin

    patch.setattr(ExitDesk, "_forced", without_stops)


def _losses(patch: Patch) -> None:
    patch.setattr(TradingControl, "check_losses", _nothing)
    _layer_off(1, patch)


def _data_stale(patch: Patch) -> None:
    patch.setattr(SymbolHealth, "is_silent", _never)
    _layer_off(3, patch)


def _apply_condition(patch: Patch) -> None:
    patch.setattr(TradingControl, "on_condition", _nothing)
    patch.setattr(ExecutionStage, "_on_condition", _nothing)


def _total_exposure(patch: Patch) -> None:
    headrooms = exposure.headrooms

    def without_total(**given: Any) -> tuple[Any, ...]:
        return tuple(r for r in headrooms(**given) if r.name != exposure.EXPOSURE_LAYER)

    patch.setattr(exposure, "headrooms", without_total)
    _layer_off(4, patch)


def _last_guard(patch: Patch) -> None:
    def accept(stage: ExecutionStage, order: Order) -> None:
        approved = ApprovedOrder.__new__(ApprovedOrder)
        approved._order = order
        stage._desk.accept(approved)

    patch.setattr(ExecutionStage, "_on_order", accept)


def _exit_over_hole(patch: Patch) -> None:
    leaves = Momentum._exit

    def unbroken_only(strategy: Momentum, memory: SymbolMomentum, *given: Any) -> Intent | None:
        return leaves(strategy, memory, *given) if memory.window.is_unbroken else None

    patch.setattr(Momentum, "_exit", unbroken_only)


def _stop_at_fill(patch: Patch) -> None:
    patch.setattr(
        execution_desk.FillDesk,
        "_stop_at",
        lambda _, working, __: working.order.stop_loss_price,
    )


def _margin_cap(patch: Patch) -> None:
    protect = Position.protect

    def without_margin(position: Position, *given: Any, **named: Any) -> None:
        protect(position, *given, **named)
        position.least_profit = None

    patch.setattr(margin, "worst_exit_price", _nothing)
    patch.setattr(Position, "protect", without_margin)


def _volume_share(patch: Patch) -> None:
    headrooms = exposure.headrooms

    def without_volume(**given: Any) -> tuple[Any, ...]:
        return tuple(r for r in headrooms(**given) if r.name != exposure.VOLUME_LAYER)

    patch.setattr(exposure, "headrooms", without_volume)
    _layer_off(5, patch)
    patch.setattr(SimulatedMarket, "takeable", lambda *_: Decimal("1e9"))


RULES: dict[str, Callable[[Patch], None]] = {
    "stop_loss": _stop_loss,
    "stop_at_fill": _stop_at_fill,
    "stop_passed": lambda patch: patch.setattr(execution_desk.FillDesk, "_passes_its_stop", _never),
    "volume_share": _volume_share,
    "traded_volume": lambda patch: patch.setattr(
        SimulatedMarket, "takeable", lambda *_: Decimal("1e9")
    ),
    "daily_drawdown": _losses,
    "emergency_stop": _losses,
    "loss_cooldown": lambda patch: patch.setattr(LossStreak, "note", _never),
    "price_jump": lambda patch: patch.setattr(SymbolHealth, "_observe_trade", _nothing),
    "price_confirmation": lambda patch: patch.setattr(prices.Prices, "_is_supported", _always),
    "print_voided": lambda patch: patch.setattr(prices, "_follows", _always),
    "usual_pause": lambda patch: patch.setattr(
        prices.Prices, "_longest_wait", lambda *_: prices.LEAST_WAIT_MS
    ),
    "data_stale": _data_stale,
    "doubt": _apply_condition,
    "funding": lambda patch: patch.setattr(perpetuals, "funding_payment", lambda *_: Decimal(0)),
    "liquidation": lambda patch: patch.setattr(Portfolio, "liquidates", _never),
    "margin_cap": _margin_cap,
    "liquidation_distance": lambda patch: _layer_off(5, patch),
    "spread_anomaly": lambda patch: patch.setattr(SymbolHealth, "_observe_quote", _nothing),
    "several_anomalies": lambda patch: patch.setattr(control, "SYMBOLS_THAT_HALT", 99),
    "total_exposure": _total_exposure,
    "correlated_exposure": lambda patch: patch.setattr(exposure, "correlation", _nothing),
    "trade_frequency": lambda patch: patch.setattr(
        RiskState, "entries_within_the_hour", lambda _: 0
    ),
    "halt": lambda patch: patch.setattr(TradingControl, "on_halt", _nothing),
    "last_guard": _last_guard,
    "cost": lambda patch: patch.setattr(layer_checks, "_worst_cost", lambda _, found: found),
    "universe": lambda patch: patch.setattr(RiskState, "may_enter", _always),
    "signal_age": lambda patch: _layer_off(3, patch),
    "exit_over_hole": _exit_over_hole,
    "slippage": lambda patch: patch.setattr(execution_desk.FillDesk, "_slips_too_far", _never),
}
