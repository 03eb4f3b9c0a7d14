"""The `Now` screen as data: trading state, account, limits, positions, health of each service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from services.kernel.events import TradingState, topics

Body = Mapping[str, Any]

MISSING: Final[Body] = {}

HEADLINE: Final = {
    TradingState.ACTIVE: "ACTIVE",
    TradingState.REDUCE_ONLY: "REDUCE-ONLY",
    TradingState.PAUSED: "PAUSED",
    TradingState.HALTED: "HALTED",
}


@dataclass(frozen=True, slots=True)
class ServiceReading:
    """What one service answered.

    Attributes:
        healthy: Whether ``/health`` answered 200.
        health: Body of ``/health``; ``reason`` where it does not answer.
        status: Body of ``/status``; empty where it does not answer.
    """

    healthy: bool
    health: Body
    status: Body = field(default_factory=dict)

    @property
    def stage(self) -> Body:
        """The state of the service's stage; empty where there is none."""
        stage = self.status.get("stage")
        return stage if isinstance(stage, dict) else MISSING


Readings = Mapping[str, ServiceReading]


def now_view(readings: Readings, *, read_at: int) -> dict[str, Any]:
    """The whole screen, JSON-able; amounts stay the strings that the services sent.

    Args:
        readings: By service name.
        read_at: Wall time of the reading, Unix ms.
    """
    account = _stage(readings, topics.PAPER_RUNNER)
    settings = _status(readings, topics.PAPER_RUNNER).get("settings") or MISSING
    return {
        "read_at": read_at,
        "run": {
            name: account.get(name)
            for name in ("run_id", "source", "speed", "ended", "code_version", "clock_ms", "ticks")
        },
        "state": trading_state(readings),
        "account": {name: account.get(name) for name in _ACCOUNT},
        "limits": limits(account, settings),
        "positions": positions(account),
        "symbols": symbol_rows(readings),
        "services": [service_row(name, readings.get(name)) for name in topics.SERVICES],
        "funnel": account.get("funnel") or {},
        "rejected": account.get("rejected") or {},
        "recent": account.get("recent") or {},
    }


_ACCOUNT: Final = (
    "equity_start",
    "equity",
    "cash",
    "realised_profit",
    "unrealised_profit",
    "fees",
    "funding",
    "exposure",
    "exposure_pct",
    "available_margin",
    "peak_equity",
    "day_start_equity",
    "daily_drawdown_pct",
    "drawdown_pct",
    "max_drawdown_pct",
)


def trading_state(readings: Readings) -> dict[str, Any]:
    """The trading state in one word, its causes, and what releases it.

    ``name`` is ``UNKNOWN`` where risk does not answer: then nothing is known to be allowed.
    """
    risk = _stage(readings, topics.RISK)
    if not risk:
        return {
            "name": "UNKNOWN",
            "why": ["cdb_risk does not answer, so the trading state is not known"],
            "release": "claire status names the service; it restarts by itself",
        }
    state = TradingState(risk.get("account") or TradingState.ACTIVE)
    halted = risk.get("halt_reason")
    paused = bool(risk.get("operator_paused"))
    conditions = [str(one) for one in (risk.get("conditions") or MISSING).values()]
    why: list[str] = []
    if halted:
        why += [str(halted), *(f"also {cause}" for cause in risk.get("further_halts") or ())]
    if paused:
        why.append("paused by an operator")
    why += conditions
    return {"name": HEADLINE[state], "why": why, "release": _release(halted, paused, conditions)}


def _release(halted: object, paused: bool, conditions: list[str]) -> str | None:
    """What a person does next; None where everything is allowed."""
    if halted:
        return "a person resets it: Release, or claire reset --reason"
    if paused:
        return "a person resumes it: Resume, or claire resume"
    if conditions:
        return "it ends by itself when the condition clears"
    return None


def limits(account: Body, settings: Body) -> list[dict[str, Any]]:
    """Each account limit with its present value and the share of it that is used (0 to 1)."""
    rows = []
    for name, figure, setting, on_breach in _LIMITS:
        value, limit = decimal(account.get(figure)), decimal(settings.get(setting))
        used = None if value is None or not limit else float(value / limit)
        rows.append(
            {
                "name": name,
                "setting": setting,
                "value": None if value is None else str(value),
                "limit": None if limit is None else str(limit),
                "used": used,
                "on_breach": on_breach,
            }
        )
    return rows


_LIMITS: Final = (
    (
        "daily drawdown",
        "daily_drawdown_pct",
        "MAX_DAILY_DRAWDOWN_PCT",
        "halts; positions stay with their stops",
    ),
    (
        "loss from the peak",
        "drawdown_pct",
        "CIRCUIT_BREAKER_THRESHOLD_PCT",
        "halts and closes every position",
    ),
    (
        "total exposure",
        "exposure_pct",
        "MAX_TOTAL_EXPOSURE_PCT",
        "entries are trimmed or refused",
    ),
)


def positions(account: Body) -> list[dict[str, Any]]:
    """The open positions with price age and distance to stop and liquidation (fractions)."""
    clock = account.get("clock_ms")
    rows = []
    for position in account.get("positions") or ():
        mark = decimal(position.get("mark_price"))
        priced_at = position.get("priced_at")
        age = None if clock is None or priced_at is None else max(0, clock - priced_at) / 1000
        rows.append(
            {
                **position,
                "price_age_s": age,
                "stop_distance": _distance(mark, position.get("stop_loss_price")),
                "liquidation_distance": _distance(mark, position.get("liquidation_price")),
            }
        )
    return rows


def _distance(mark: Decimal | None, level: object) -> float | None:
    price = decimal(level)
    if not mark or price is None:
        return None
    return float(abs(mark - price) / mark)


def symbol_rows(readings: Readings) -> list[dict[str, Any]]:
    """Each symbol's trading state, its causes, and the age of its data in seconds."""
    risk = _stage(readings, topics.RISK)
    restricted = risk.get("restricted") or MISSING
    ages = _status(readings, topics.RISK).get("data_age_s") or MISSING
    states = risk.get("symbols") or MISSING
    return [
        {
            "symbol": symbol,
            "state": states.get(symbol) or "ACTIVE",
            "why": list((restricted.get(symbol) or MISSING).get("why") or ()),
            "data_age_s": ages.get(symbol),
        }
        for symbol in sorted({*states, *ages})
    ]


def service_row(name: str, reading: ServiceReading | None) -> dict[str, Any]:
    """One service: whether it can do its job, why not, and what it measured."""
    if reading is None:
        return {"name": name, "healthy": None, "why": "not reachable from here", "measured": {}}
    health = reading.health
    reasons = health.get("reasons") or [health.get("reason") or ""]
    measured = health.get("measured") or MISSING
    return {
        "name": name,
        "healthy": reading.healthy,
        "why": "" if reading.healthy else "; ".join(str(one) for one in reasons if one),
        "measured": {key: measured[key] for key in _MEASURED if key in measured},
    }


_MEASURED: Final = ("data_age_s", "clock_age_s", "bus_lag_events", "db_write_age_s")


def decimal(text: object) -> Decimal | None:
    """A number that came as text; None for what is none."""
    if text is None:
        return None
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return None


def _stage(readings: Readings, service: str) -> Body:
    reading = readings.get(service)
    return MISSING if reading is None else reading.stage


def _status(readings: Readings, service: str) -> Body:
    reading = readings.get(service)
    return MISSING if reading is None else reading.status
