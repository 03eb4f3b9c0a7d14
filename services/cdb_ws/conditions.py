"""Conditions and alerts of ``cdb_ws``: the end of the data, and gaps in it."""

from services.kernel.events import (
    SCHEMA_VERSION,
    Alert,
    AlertLevel,
    AlertPhase,
    Condition,
    ConditionName,
    ConditionPhase,
)
from services.kernel.events.ids import make_id
from services.kernel.events.topics import WS


def condition(
    run_id: str,
    timestamp: int,
    name: ConditionName,
    phase: ConditionPhase,
    *,
    detail: str,
    unique: object = 0,
    symbol: str | None = None,
    lost: tuple[int, int] | None = None,
) -> Condition:
    """A condition of the whole market, or of one symbol.

    Args:
        run_id: The run.
        timestamp: Event time, milliseconds.
        name: Name of the condition.
        phase: Whether it begins to hold or no longer holds.
        detail: What was seen, for people.
        unique: Makes the id different from other conditions of the same name.
        symbol: The symbol; None for all.
        lost: First and last millisecond between which trades may be missing.
    """
    lost_from, lost_to = lost or (None, None)
    return Condition(
        event_id=make_id(run_id, WS, "condition", name, phase, unique),
        run_id=run_id,
        producer=WS,
        schema_version=SCHEMA_VERSION,
        timestamp=timestamp,
        causation_id=None,
        correlation_id=None,
        name=name,
        phase=phase,
        symbol=symbol,
        detail=detail,
        lost_from=lost_from,
        lost_to=lost_to,
    )


def source_ended(run_id: str, timestamp: int, detail: str) -> Condition:
    """The market has no more data."""
    return condition(
        run_id,
        timestamp,
        ConditionName.SOURCE_ENDED,
        ConditionPhase.BEGAN,
        detail=detail,
    )


def data_gap(
    run_id: str,
    timestamp: int,
    phase: ConditionPhase,
    *,
    detail: str,
    unique: object,
    symbol: str | None = None,
    lost: tuple[int, int] | None = None,
) -> Condition:
    """Ticks of one symbol, or of all, are missing from here on, or no longer."""
    return condition(
        run_id,
        timestamp,
        ConditionName.DATA_GAP,
        phase,
        detail=detail,
        unique=unique,
        symbol=symbol,
        lost=lost,
    )


def source_failed(run_id: str, timestamp: int, why: str) -> Alert:
    """The data of the market cannot be read any further."""
    event_id = make_id(run_id, WS, "alert", "SOURCE_FAILED")
    return alert(event_id, run_id, timestamp, AlertLevel.CRITICAL, "SOURCE_FAILED", why)


def alert(
    event_id: str,
    run_id: str,
    timestamp: int,
    level: AlertLevel,
    code: str,
    message: str,
    *,
    symbol: str | None = None,
    phase: AlertPhase = AlertPhase.BEGAN,
    count: int = 1,
    context: dict[str, str] | None = None,
) -> Alert:
    """An alert of ``cdb_ws``; it belongs to no risk layer.

    Args:
        event_id: Differs from change to change of one code.
        run_id: The run.
        timestamp: Event time, milliseconds.
        level: Severity.
        code: Alert code.
        message: For people.
        symbol: None for the whole market.
        phase: Whether the cause begins, continues or is over.
        count: How often it was seen.
        context: Figures for the message.
    """
    return Alert(
        event_id=event_id,
        run_id=run_id,
        producer=WS,
        schema_version=SCHEMA_VERSION,
        timestamp=timestamp,
        causation_id=None,
        correlation_id=None,
        level=level,
        code=code,
        message=message,
        symbol=symbol,
        layer=None,
        phase=phase,
        count=count,
        context=context or {},
    )
