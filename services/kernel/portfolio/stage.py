"""The portfolio stage: the orchestrator's fold, published at each minute's first clock."""

from itertools import pairwise
from typing import ClassVar

import msgspec
from msgspec import Struct, field

from services.kernel.emitter import Emitter
from services.kernel.events import Clock, Event, PortfolioSnapshot, RunEnded, RunStarted, topics
from services.kernel.market.rows import Rows
from services.kernel.portfolio import quiet, views
from services.kernel.portfolio.checksums import is_first_of_minute
from services.kernel.portfolio.portfolio import Effect, Portfolio, PortfolioState


class _ProjectionState(Struct, kw_only=True):
    run_id: str = ""
    clock: int = 0
    portfolio: PortfolioState = field(default_factory=PortfolioState)


class PortfolioStage:
    """Folds the total order; what it publishes is what the other folds are compared with.

    Attributes:
        effects: What the last event did to the account: closed trades and funding payments.
    """

    name: ClassVar[str] = topics.PAPER_RUNNER
    topics: ClassVar[frozenset[str]] = frozenset(
        {
            topics.MARKET_DATA,
            topics.ORDER_RESULTS,
            topics.RISK_DECISIONS,
            topics.CONTROL,
            topics.CLOCK,
        }
    )

    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self.effects: tuple[Effect, ...] = ()
        self._emitter = Emitter(self.name)
        self._clock = 0

    def handle(self, event: Event) -> list[Event]:
        """Take one event; topics that the fold does not read change nothing."""
        self._emitter.begin(event)
        if isinstance(event, RunStarted):
            self._emitter.run_id = event.run_id
            self._clock = 0
        self.effects = self.portfolio.apply(event)
        if isinstance(event, Clock):
            if self._emitter.run_id and is_first_of_minute(self._clock, event.timestamp):
                self._publish()
            self._clock = event.timestamp
        elif isinstance(event, RunEnded):
            self._publish()
        return self._emitter.outputs()

    def advance(self, rows: Rows, row: int, upto: int) -> list[int]:
        """Take the quiet rows from ``row`` to before ``upto``.

        Returns:
            Times of the clocks at which a snapshot was due.
        """
        quiet.advance(self.portfolio, rows, row, upto)
        clocks = rows.clocks(row, upto)
        due = [now for was, now in pairwise([self._clock, *clocks]) if is_first_of_minute(was, now)]
        self._clock = clocks[-1] if clocks else self._clock
        return due

    def snapshot(self) -> bytes:
        """The fold's state."""
        return msgspec.json.encode(
            _ProjectionState(
                run_id=self._emitter.run_id, clock=self._clock, portfolio=self.portfolio.state
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        state = msgspec.json.decode(snapshot, type=_ProjectionState)
        self._emitter.run_id = state.run_id
        self._clock = state.clock
        self.portfolio.state = state.portfolio

    def status(self) -> dict[str, object]:
        """Equity, losses and positions."""
        portfolio = self.portfolio
        return {
            "equity": str(portfolio.equity),
            "cash": str(portfolio.cash),
            "exposure": str(portfolio.gross_exposure),
            "daily_drawdown_pct": views.text(portfolio.daily_drawdown_pct),
            "drawdown_pct": views.text(portfolio.drawdown_pct),
            "positions": msgspec.to_builtins(views.positions(portfolio)),
        }

    def _publish(self) -> None:
        portfolio, state = self.portfolio, self.portfolio.state
        equity = portfolio.equity
        exposure = portfolio.gross_exposure
        self._emitter.emit(
            PortfolioSnapshot,
            equity=equity,
            cash=portfolio.cash,
            realised_profit=state.realised_profit,
            unrealised_profit=portfolio.unrealised_profit,
            fees=state.fees,
            funding=state.funding,
            gross_exposure=exposure,
            exposure_pct=portfolio.exposure_pct,
            peak_equity=state.peak_equity,
            day_start_equity=state.day_start_equity,
            daily_drawdown_pct=portfolio.daily_drawdown_pct,
            drawdown_pct=portfolio.drawdown_pct,
            max_drawdown_pct=state.max_drawdown_pct,
            worst_day_pct=state.worst_day_pct,
            positions=views.positions(portfolio),
            checksum=portfolio.checksum(),
            initial_margin=portfolio.initial_margin,
            maintenance_margin=portfolio.maintenance_margin,
            available_margin=portfolio.available_margin,
            symbols=views.symbols(portfolio),
        )
