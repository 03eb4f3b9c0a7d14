"""The engine ``fast``: skips the rows on which nothing can happen, and hands over the others.

While the account is at rest (no position, no open order), the stages take the ordinary rows up to
the next one on which one of them may act in one step (`advance`). On that row, and on every row
while a position is held, the live ``handle`` of all stages decides, and nothing else does.
"""

from itertools import islice
from typing import Final

from services.backtest.events_engine import Progress, whole_run
from services.cdb_paper_runner.orchestration import Orchestration
from services.cdb_ws.sources.recorded import RecordedSource
from services.kernel.events import Clock, MarketData, PortfolioSnapshot, RunStarted, topics
from services.kernel.execution.stage import ExecutionStage
from services.kernel.market.rows import MarketScan, Rows
from services.kernel.pipeline import Pipeline
from services.kernel.risk.stage import RiskStage
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies.stage import SignalStage
from services.reports.run_observer import RunObserver

ENGINE: Final = "fast"
CHUNK_ROWS: Final = 32_768
"""Rows that are in memory at once."""
_NO_ACTS: Final = frozenset({MarketData, Clock, PortfolioSnapshot})


class FastEngine:
    """The stages of one run, and how many rows they were given.

    Attributes:
        observer: Gathers the run's facts.
        skipped: Rows that were taken by `advance`.
        waking: Rows that the live stages handled.
    """

    def __init__(self) -> None:
        self._execution, self._risk, self._signal = ExecutionStage(), RiskStage(), SignalStage()
        self._orchestration = Orchestration()
        self.observer = RunObserver(self._orchestration.fold, ENGINE)
        self._pipeline = Pipeline(
            (self._execution, self._risk, self._signal, self._orchestration, self.observer)
        )
        self._settled = False
        self.skipped = self.waking = 0

    def play(self, rows: Rows) -> None:
        """Take the next rows of the run."""
        row, end = 0, len(rows.events)
        while row < end:
            row = self._skip(rows, row)
            if row < end:
                self._feed(rows, row)
                row += 1

    def _skip(self, rows: Rows, row: int) -> int:
        """Advance over the quiet rows from ``row`` on; returns the first that is not quiet."""
        if not self._settled:
            return row
        upto = self._execution.quiet_until(rows, row)
        if upto > row:
            upto = min(upto, self._risk.quiet_until(rows, row), rows.next_woken(row))
        if upto <= row:
            return row
        upto = self._signal.advance(rows, row, upto)
        if upto == row:
            return row
        self._execution.advance(rows, row, upto)
        self._risk.advance(rows, row, upto)
        minutes = self._orchestration.advance(rows, row, upto)
        self.observer.advance(rows, row, upto, minutes)
        clocks = len(rows.clocks(row, upto))
        self._pipeline.skip(topics.CLOCK, clocks)
        self._pipeline.skip(topics.MARKET_DATA, upto - row - clocks)
        self._pipeline.skip(PortfolioSnapshot.TOPIC, len(minutes))
        self.skipped += upto - row
        return upto

    def _feed(self, rows: Rows, row: int) -> None:
        """Let the live stages handle a row; they are settled after a clock that causes nothing."""
        event, caused = rows.events[row], False
        for published in self._pipeline.feed(event):
            caused = caused or type(published) not in _NO_ACTS
        self.waking += 1
        if caused:
            self._settled = False
        elif type(event) is Clock:
            self._settled = True


def play(
    run: RunStarted,
    market: RecordedSource,
    duration_ms: int = 0,
    progress: Progress = lambda _ticks, _at: None,
) -> RunObserver:
    """Play a whole run; arguments and result as of the engine ``events``.

    Raises:
        DataError: A file cannot be read further.
    """
    engine = FastEngine()
    play_on(engine, run, market, duration_ms, progress)
    return engine.observer


def play_on(
    engine: FastEngine,
    run: RunStarted,
    market: RecordedSource,
    duration_ms: int = 0,
    progress: Progress = lambda _ticks, _at: None,
    chunk_rows: int = CHUNK_ROWS,
) -> None:
    """Play a whole run on an engine that was made for it."""
    scan = MarketScan(TradingSettings.parse(run.settings)[0])
    events = whole_run(run, market, duration_ms)
    while chunk := list(islice(events, chunk_rows)):
        engine.play(scan.scan(chunk))
        progress(engine.observer.ticks, engine.observer.now)
