"""The kernel's benchmark: ticks and decisions per second on one core, and where the time goes.

No bus and no process: events go straight into the stages. The market is twenty symbols that trade
in turn, half of them with a position whose stop is watched; decisions are entries into such a
portfolio, with as many orders waiting for their fill.
"""

import cProfile
import os
import platform
import pstats
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from services.cdb_ws.publishing.ticks import TickMaker, clock, instruments
from services.kernel.events import (
    SCHEMA_VERSION,
    Event,
    MarketDataKind,
    OpeningAccount,
    OpeningPosition,
    RiskDecision,
    RunStarted,
    Side,
    Signal,
    Verdict,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.pipeline import Pipeline
from services.kernel.risk.stage import RiskStage
from services.kernel.settings.model import TradingSettings

RUN: Final = "bench kernel"
START_MS: Final = 1_735_689_600_000
SYMBOLS: Final = tuple(f"S{number:02d}_USDT" for number in range(20))
TICK_EVERY_MS: Final = 5
SIGNAL_EVERY_MS: Final = 400
EQUITY: Final = Decimal(1_000_000)
SETTINGS: Final = {
    "MAX_TRADES_PER_HOUR": "1000",
    "MAX_SIGNAL_AGE_SEC": "60",
    "DATA_STALE_TIMEOUT_SEC": "120",
    "MAX_TOTAL_EXPOSURE_PCT": "0.80",
    "RISK_PER_TRADE_PCT": "0.0005",
}
TOP: Final = 10


def run(ticks: int, decisions: int) -> dict[str, Any]:
    """Measure and profile.

    Args:
        ticks: Into the risk stage, and into all stages together.
        decisions: Entry signals into the risk stage.

    Returns:
        The figures, JSON-able.
    """
    market = _market(ticks)
    alone = _seconds(_prepared(RiskStage()), market)
    together = _pipeline_seconds(market)
    stage = _prepared(RiskStage())
    signals = _signals(decisions)
    began = time.perf_counter()
    decided = [output for signal in signals for output in stage.handle(signal)]
    seconds = time.perf_counter() - began
    verdicts = [event.verdict for event in decided if isinstance(event, RiskDecision)]
    return {
        "risk_ticks_per_s": round(ticks / alone),
        "decisions_per_s": round(decisions / seconds),
        "kernel_ticks_per_s": round(ticks / together),
        "us_per_risk_tick": round(alone / ticks * 1e6, 2),
        "us_per_decision": round(seconds / decisions * 1e6, 1),
        "ticks": ticks,
        "decisions": decisions,
        "approved": sum(verdict is not Verdict.REJECTED for verdict in verdicts),
        "positions": len(stage.portfolio.state.positions),
        "profile_ticks": _profile(_prepared(RiskStage()), market),
        "profile_decisions": _profile(_prepared(RiskStage()), signals),
        "machine": {
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        },
    }


def _beginning() -> list[Event]:
    """A run with a position in half of the symbols."""
    positions = tuple(
        OpeningPosition(
            symbol=symbol,
            quantity=Decimal(100),
            entry_price=Decimal(100),
            mark_price=Decimal(100),
            stop_loss_price=Decimal(90),
            leverage=Decimal(3),
        )
        for symbol in SYMBOLS[::2]
    )
    account = OpeningAccount(
        cash=EQUITY, peak_equity=EQUITY, day_start_equity=EQUITY, day=-1, positions=positions
    )
    started = RunStarted(
        **_envelope(topics.PAPER_RUNNER, START_MS, "run_started"),
        settings=TradingSettings.parse(SETTINGS)[0].to_mapping(),
        seed=1,
        code_version="bench",
        source="synthetic",
        account=account,
    )
    contracts = tuple(generic_instrument(symbol, Decimal("0.01")) for symbol in SYMBOLS)
    first = [_trade(number, 0, START_MS) for number in range(len(SYMBOLS))]
    return [started, instruments(RUN, START_MS, contracts), clock(RUN, START_MS), *first]


def _prepared(stage: RiskStage) -> RiskStage:
    for event in _beginning():
        stage.handle(event)
    return stage


def _market(ticks: int) -> list[Event]:
    events: list[Event] = []
    second = START_MS
    for index in range(ticks):
        now = START_MS + index * TICK_EVERY_MS
        if now - second >= 1_000:
            second = now
            events.append(clock(RUN, now))
        events.append(_trade(index % len(SYMBOLS), index, now))
    return events


_MAKERS: Final = [TickMaker(RUN, "bench", symbol) for symbol in SYMBOLS]


def _trade(symbol: int, index: int, now: int) -> Event:
    maker = _MAKERS[symbol]
    return maker.make(
        event_id=maker.make_id("trade", f"{symbol} {index}"),
        timestamp=now,
        kind=MarketDataKind.TRADE,
        price=Decimal(10_000 + index % 40 - 20) / 100,
        volume=Decimal(1000),
    )


def _signals(number: int) -> list[Event]:
    """Wishes to enter, alternately long and short; the clock goes on between them."""
    events: list[Event] = []
    for index in range(number):
        now = START_MS + index * SIGNAL_EVERY_MS % 100_000
        signal_id = make_id(RUN, "signal", index)
        events.append(
            Signal(
                **_envelope(topics.CORE, now, "signal", index),
                signal_id=signal_id,
                symbol=SYMBOLS[index % len(SYMBOLS)],
                direction=Side.BUY if index % 2 else Side.SELL,
                strength=Decimal(1),
                price=Decimal(100),
                reason="bench",
                indicators={},
                reduce_only=False,
                strategy_id="bench",
            )
        )
    return events


def _seconds(stage: RiskStage, events: Sequence[Event]) -> float:
    handle = stage.handle
    began = time.perf_counter()
    for event in events:
        handle(event)
    return time.perf_counter() - began


def _pipeline_seconds(events: Sequence[Event]) -> float:
    pipeline = Pipeline()
    for event in _beginning():
        for _ in pipeline.feed(event):
            pass
    began = time.perf_counter()
    for _ in pipeline.run(events):
        pass
    return time.perf_counter() - began


def _profile(stage: RiskStage, events: Sequence[Event]) -> list[dict[str, Any]]:
    """The ten functions that take the most time of their own, the largest first."""
    profile = cProfile.Profile()
    profile.runcall(_seconds, stage, events)
    entries = pstats.Stats(profile).get_stats_profile()
    total = entries.total_tt or 1.0
    largest = sorted(entries.func_profiles.items(), key=lambda item: item[1].tottime, reverse=True)
    return [
        {
            "function": f"{Path(entry.file_name).name}:{entry.line_number} {name}",
            "calls": int(entry.ncalls.split("/")[0]),
            "own_us_per_event": round(entry.tottime / len(events) * 1e6, 2),
            "share": round(entry.tottime / total, 3),
        }
        for name, entry in largest[:TOP]
    ]


def _envelope(producer: str, now: int, *parts: object) -> dict[str, Any]:
    return {
        "event_id": make_id(RUN, *parts),
        "run_id": RUN,
        "producer": producer,
        "schema_version": SCHEMA_VERSION,
        "timestamp": now,
        "causation_id": None,
        "correlation_id": None,
    }
