"""Candidates as the seven layers see them: a calm long entry, but for what a test changes."""

from decimal import Decimal
from typing import Any

from services.kernel.events import LayerResult, Side, TradingState
from services.kernel.risk.checks.candidate import RiskCheckInput
from services.kernel.risk.checks.layers import assess
from services.kernel.risk.exposure import OtherExposure
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.risk.state.traded_volume import TradedVolume
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import ETH, NOON


def settings(**values: str) -> TradingSettings:
    return TradingSettings.parse(values)[0]


def market(**fields: Any) -> SymbolHealth:
    """A market whose last tick is of now; its look-back window traded 100 a minute."""
    traded = TradedVolume(parts={NOON // 1000: Decimal(1500)})
    return SymbolHealth(**{"seen_at": NOON, "traded": traded, **fields})


def candidate(**fields: Any) -> RiskCheckInput:
    """A long entry of 100 at 100 into a calm market, from a flat account of 100,000."""
    given = {
        "settings": settings(),
        "instrument": builders.instrument(),
        "contract_known": True,
        "health": market(),
        "side": Side.BUY,
        "quantity": 100,
        "price": 100,
        "stop_loss_price": 98,
        "leverage": 3,
        "equity": 100_000,
        "daily_drawdown_pct": 0,
        "drawdown_pct": 0,
        "account_state": TradingState.ACTIVE,
        "position": 0,
        "elsewhere": 0,
        "correlated": 0,
        "streak": LossStreak(),
        "entries_last_hour": 0,
        "open_conditions": (),
        "now": NOON,
        "signal_age_ms": 0,
    } | fields
    given = {"order_price": given["price"], "mark_price": given["price"]} | given
    exact = {"now", "signal_age_ms", "entries_last_hour"}
    for name, value in given.items():
        if isinstance(value, int | str) and not isinstance(value, bool | Side | TradingState):
            given[name] = value if name in exact else Decimal(value)
    gross, correlated = given.pop("elsewhere"), given.pop("correlated")
    alike = {ETH: Decimal("0.9")} if correlated else {}
    given["others"] = OtherExposure(gross=gross, correlated=correlated, alike=alike)  # type: ignore[arg-type]
    return RiskCheckInput(**given)  # type: ignore[arg-type]


def layer(number: int, **fields: Any) -> LayerResult:
    """What a layer finds of such a `candidate`."""
    return assess(candidate(**fields)).results[number - 1]
