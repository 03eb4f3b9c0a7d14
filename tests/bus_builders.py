"""Events for tests of the bus: valid, small, and different only where a test says so."""

from decimal import Decimal
from typing import Any

from services.kernel.events import (
    SCHEMA_VERSION,
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    MarketData,
    MarketDataKind,
    OpeningAccount,
    RunEnded,
    RunStarted,
    topics,
)
from services.kernel.events.ids import make_id

RUN = make_id("test run")
START_MS = 1_700_000_000_000


def envelope(event_id: str, producer: str, *, at: int = 0, **over: Any) -> dict[str, Any]:
    """An envelope; ``at`` is milliseconds after the start of the tests' time."""
    fields: dict[str, Any] = {
        "event_id": event_id,
        "run_id": RUN,
        "producer": producer,
        "schema_version": SCHEMA_VERSION,
        "timestamp": START_MS + at,
        "causation_id": None,
        "correlation_id": None,
    }
    return {**fields, **over}


def tick(number: int, *, producer: str = topics.WS, symbol: str = "BTC_USDT") -> MarketData:
    """The trade with that number, one millisecond after the one before."""
    return MarketData(
        **envelope(make_id("tick", number), producer, at=number),
        kind=MarketDataKind.TRADE,
        symbol=symbol,
        source="synthetic",
        price=Decimal("65000.1"),
        volume=Decimal("0.013"),
        trade_id=str(number),
    )


def clock(at: int) -> Clock:
    """The clock that many milliseconds after the start."""
    return Clock(**envelope(make_id("clock", at), topics.WS, at=at))


def run_started(
    *, speed: str = "60", source: str = "synthetic", producer: str = topics.PAPER_RUNNER
) -> RunStarted:
    """A run begins."""
    equity = Decimal(100_000)
    return RunStarted(
        **envelope(make_id("run_started"), producer),
        settings={"CDB_SPEED": speed},
        seed=1,
        code_version="test",
        source=source,
        account=OpeningAccount(
            cash=equity, peak_equity=equity, day_start_equity=equity, day=START_MS // 86_400_000
        ),
    )


def run_ended() -> RunEnded:
    """The run is over."""
    return RunEnded(**envelope(make_id("run_ended"), topics.PAPER_RUNNER), reason="test")


def condition(producer: str, *, number: int = 0) -> Condition:
    """What every service may publish."""
    return Condition(
        **envelope(make_id("condition", producer, number), producer),
        name=ConditionName.LAG,
        phase=ConditionPhase.BEGAN,
        symbol=None,
        detail="test",
    )
