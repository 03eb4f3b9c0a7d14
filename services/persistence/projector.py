"""The projections: a pure fold of the record into the rows of every table that shows it.

The writer feeds it live, ``claire db rebuild`` from the tables ``events`` and ``market_data``; the
same events in the same order give the same rows, however they were batched.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from services.kernel.events import (
    RUN_BREAKING,
    AnyEvent,
    Clock,
    Condition,
    MarketData,
    OrderResult,
    PortfolioSnapshot,
    RunEnded,
    RunStarted,
)
from services.kernel.portfolio.checksums import PortfolioChecksums
from services.kernel.portfolio.portfolio import (
    ClosedTrade,
    Effect,
    FundingPayment,
    Portfolio,
    PortfolioState,
)
from services.persistence.tables import ONE_ROW_EACH, Row, clean, json_text, row_of, time_of


class _State(Struct, kw_only=True):
    """What the fold remembers between two events."""

    run_id: str = ""
    clock: int = 0
    portfolio: PortfolioState = msgspec.field(default_factory=PortfolioState)
    checksums: PortfolioChecksums = msgspec.field(default_factory=PortfolioChecksums)
    broken: str | None = None


@dataclass(slots=True)
class Projections:
    """Rows that some events made.

    Attributes:
        added: New rows, by table, in order.
        positions: Newest row per (run, symbol).
        run_ends: Run, time and reason of runs that ended.
        mismatch: What differs from the orchestrator's fold, if anything.
    """

    added: dict[str, list[Row]] = field(default_factory=dict)
    positions: dict[tuple[str, str], Row] = field(default_factory=dict)
    run_ends: list[Row] = field(default_factory=list)
    mismatch: str | None = None

    def add(self, table: str, row: Row) -> None:
        """Add a row to a table."""
        self.added.setdefault(table, []).append(row)


class Projector:
    """Folds events into rows. Feed it every event of every topic, in total order."""

    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self._run_id = ""
        self._clock = 0
        self._checksums = PortfolioChecksums()
        self._broken: str | None = None

    @property
    def broken(self) -> str | None:
        """The first condition of the run that only another run ends; None while there is none."""
        return self._broken

    @property
    def run_id(self) -> str:
        """The run of the last ``run_started``; empty before it."""
        return self._run_id

    @property
    def clock(self) -> int:
        """Timestamp of the last clock of the run."""
        return self._clock

    def apply_tick(self, event: MarketData) -> None:
        """Fold in an event that makes no rows, and comes thousands of times a second."""
        self.portfolio.apply(event)

    def apply(self, event: AnyEvent, rows: Projections) -> tuple[Effect, ...]:
        """Fold one event in and add the rows it makes; returns what it did to the account."""
        effects = self.portfolio.apply(event)
        if isinstance(event, Clock):
            self._on_clock(event)
        elif isinstance(event, RunStarted):
            self._on_run_started(event, rows)
        elif isinstance(event, RunEnded):
            rows.run_ends.append((time_of(event.timestamp), clean(event.reason), event.run_id))
        elif isinstance(event, OrderResult):
            if event.filled_quantity > 0:
                self._position(event.symbol, event.seq, event.timestamp, rows)
        elif isinstance(event, Condition):
            if event.name in RUN_BREAKING and event.run_id == self._run_id:
                self._broken = self._broken or f"{event.name}: {event.detail}"
        elif type(event) in ONE_ROW_EACH:
            table, columns = ONE_ROW_EACH[type(event)]
            rows.add(table, row_of(event, columns))
            if isinstance(event, PortfolioSnapshot):
                self._on_snapshot(event, rows)
        self._book(event, effects, rows)
        return effects

    def snapshot(self) -> bytes:
        """The fold's whole state."""
        return msgspec.json.encode(
            _State(
                run_id=self._run_id,
                clock=self._clock,
                portfolio=self.portfolio.state,
                checksums=self._checksums,
                broken=self._broken,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Become what ``snapshot`` was made from; empty bytes are the beginning."""
        state = msgspec.json.decode(snapshot, type=_State) if snapshot else _State()
        self._run_id = state.run_id
        self._clock = state.clock
        self.portfolio.state = state.portfolio
        self._checksums = state.checksums
        self._broken = state.broken

    def _on_clock(self, event: Clock) -> None:
        self._checksums.remember(event, self._clock, self.portfolio)
        self._clock = event.timestamp

    def _on_run_started(self, event: RunStarted, rows: Projections) -> None:
        self._run_id, self._clock, self._checksums = event.run_id, 0, PortfolioChecksums()
        self._broken = None
        rows.add(
            "runs",
            (
                *(event.run_id, event.seq, time_of(event.timestamp), clean(event.source)),
                *(event.seed, clean(event.code_version)),
                *(json_text(event.settings), json_text(event.account)),
            ),
        )
        for symbol in self.portfolio.state.positions:
            self._position(symbol, event.seq, event.timestamp, rows)

    def _on_snapshot(self, event: PortfolioSnapshot, rows: Projections) -> None:
        rows.mismatch = rows.mismatch or self._checksums.difference(event)
        for symbol in self.portfolio.state.positions:
            self._position(symbol, event.seq, event.timestamp, rows)

    def _book(self, event: AnyEvent, effects: tuple[Effect, ...], rows: Projections) -> None:
        for effect in effects:
            if isinstance(effect, ClosedTrade):
                continue  # cdb_execution writes the trades
            assert isinstance(effect, FundingPayment)
            rows.add(
                "funding_payments",
                (
                    *(self._run_id, clean(effect.symbol), time_of(effect.settlement_time)),
                    *(event.seq, effect.quantity, effect.mark_price, effect.rate, effect.amount),
                ),
            )

    def _position(self, symbol: str, seq: int, timestamp: int, rows: Projections) -> None:
        position = self.portfolio.state.positions.get(symbol)
        details: tuple[Any, ...] = (
            0,
            None,
            self.portfolio.mark_price(symbol),
            0,
            0,
            *(None, None, None),
            *(False, 0, 0, None),
        )
        if position is not None:
            details = (
                position.quantity,
                position.entry_price,
                position.mark_price,
                position.notional,
                self.portfolio.profits[symbol],
                position.stop_loss_price,
                position.leverage,
                time_of(position.opened_at),
                position.inverse,
                position.initial_margin,
                position.maintenance_margin,
                self.portfolio.liquidation_price(symbol),
            )
        key = (self._run_id, clean(symbol))
        priced_at = self.portfolio.priced_at(symbol)
        rows.positions[key] = (
            *(*key, *details, time_of(timestamp), seq),
            None if priced_at is None else time_of(priced_at),
        )
