"""The orchestrator's stage: the portfolio's fold, the book of runs, and the statistics."""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec import Struct, field

from services.cdb_paper_runner.recent import Line, Recent
from services.cdb_paper_runner.run_book import RunBook
from services.cdb_paper_runner.statistics import Statistics
from services.kernel.events import (
    SCHEMA_VERSION,
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    OrderResult,
    RunEnded,
    RunStarted,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.market.rows import Rows
from services.kernel.portfolio import views
from services.kernel.portfolio.stage import PortfolioStage

ZERO = Decimal(0)


class _State(Struct, kw_only=True):
    fold: msgspec.Raw
    book: RunBook
    statistics: Statistics
    recent: dict[str, list[Line]] = field(default_factory=dict)
    last_seq: int = 0


class Orchestration:
    """Folds every topic; publishes portfolio snapshots, and ``run_ended`` after the last data."""

    name: ClassVar[str] = topics.PAPER_RUNNER
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.PAPER_RUNNER]

    def __init__(self) -> None:
        self.fold = PortfolioStage()
        self.book = RunBook()
        self.statistics = Statistics()
        self.recent = Recent()
        self.last_seq = 0

    def handle(self, event: Event) -> list[Event]:
        """Take one event."""
        self.last_seq = event.seq
        if type(event) is MarketData:  # nearly all of them
            self.statistics.count(event, ZERO)
            return self.fold.handle(event)
        if isinstance(event, RunStarted):
            self.statistics = Statistics()
        symbol = event.symbol if isinstance(event, OrderResult) else ""
        portfolio = self.fold.portfolio
        position, before = portfolio.quantity(symbol), portfolio.round_trips(symbol)
        self.statistics.count(event, position)  # type: ignore[arg-type]
        self.book.apply(event)  # type: ignore[arg-type]
        self.recent.see(event)  # type: ignore[arg-type]
        outputs = self.fold.handle(event)
        after = portfolio.round_trips(symbol)
        if symbol and after.closed > before.closed:
            self.book.carried.close(symbol, won=after.wins > before.wins)
        if isinstance(event, Condition) and self._ends_the_run(event):
            outputs.append(self._run_ended(event))
        return outputs

    def advance(self, rows: Rows, row: int, upto: int) -> list[int]:
        """Take quiet rows, as `PortfolioStage.advance`."""
        clocks = rows.clocks(row, upto)
        self.statistics.ticks += upto - row - len(clocks)
        for time in clocks[-1:]:
            self.book.last_clock = self.book.carried.clock = time
        return self.fold.advance(rows, row, upto)

    def snapshot(self) -> bytes:
        """The whole state."""
        return msgspec.json.encode(
            _State(
                fold=msgspec.Raw(self.fold.snapshot()),
                book=self.book,
                statistics=self.statistics,
                recent=self.recent.dump(),
                last_seq=self.last_seq,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        state = msgspec.json.decode(snapshot, type=_State)
        self.fold.restore(bytes(state.fold))
        self.book = state.book
        self.statistics = state.statistics
        self.recent.load(state.recent)
        self.last_seq = state.last_seq

    def status(self) -> dict[str, object]:
        """Everything that the page and the command line show."""
        book, portfolio, run = self.book, self.fold.portfolio, self.book.run
        equity, exposure = portfolio.equity, portfolio.gross_exposure
        state = portfolio.state
        return {
            "run_id": run.run_id if run else None,
            "source": run.source if run else None,
            "speed": run.settings.get("CDB_SPEED") if run else None,
            "code_version": run.code_version if run else None,
            "ended": book.end_reason,
            "halted": book.halted,
            "quarantined": list(book.quarantined),
            "paused": book.paused,
            "paused_symbols": list(book.paused_symbols),
            "clock_ms": book.last_clock,
            "last_seq": self.last_seq,
            "ticks": self.statistics.ticks,
            "equity_start": _text(state.start_equity),
            "equity": _text(equity),
            "cash": _text(portfolio.cash),
            "realised_profit": _text(state.realised_profit),
            "unrealised_profit": _text(portfolio.unrealised_profit),
            "fees": _text(state.fees),
            "funding": _text(state.funding),
            "exposure": _text(exposure),
            "exposure_pct": _text(portfolio.exposure_pct),
            "initial_margin": _text(portfolio.initial_margin),
            "maintenance_margin": _text(portfolio.maintenance_margin),
            "available_margin": _text(portfolio.available_margin),
            "peak_equity": _text(state.peak_equity),
            "day_start_equity": _text(state.day_start_equity),
            "daily_drawdown_pct": _text(portfolio.daily_drawdown_pct),
            "drawdown_pct": _text(portfolio.drawdown_pct),
            "max_drawdown_pct": _text(state.max_drawdown_pct),
            "worst_day_pct": _text(state.worst_day_pct),
            "funnel": self.statistics.funnel(),
            "rejected": dict(sorted(self.statistics.rejected.items())),
            "halts": self.statistics.halts,
            "releases": self.statistics.releases,
            "positions": msgspec.to_builtins(views.positions(portfolio)),
            "symbols": msgspec.to_builtins(views.symbols(portfolio)),
            "recent": self.recent.lines(),
        }

    def _ends_the_run(self, event: Condition) -> bool:
        run = self.book.run
        return (
            event.name is ConditionName.SOURCE_ENDED
            and event.phase is ConditionPhase.BEGAN
            and self.book.is_open
            and run is not None
            and run.run_id == event.run_id
        )

    def _run_ended(self, cause: Condition) -> RunEnded:
        return RunEnded(
            event_id=make_id(cause.run_id, self.name, "run_ended"),
            run_id=cause.run_id,
            producer=self.name,
            schema_version=SCHEMA_VERSION,
            timestamp=cause.timestamp,
            causation_id=cause.event_id,
            correlation_id=None,
            reason=f"DATA_OVER: {cause.detail}",
        )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number.normalize():f}"
