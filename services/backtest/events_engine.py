"""The engine ``events``: every tick goes through the live stages, in one process.

The inputs are those of a replay of the same market: what ``cdb_ws`` and the orchestrator publish.
So the decisions are those of ``claire run-paper --speed max`` on it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from services.cdb_paper_runner.orchestration import Orchestration
from services.cdb_ws.conditions import source_ended
from services.cdb_ws.replay.duration import within_duration
from services.cdb_ws.sources.recorded import RecordedSource
from services.kernel.events import (
    SCHEMA_VERSION,
    Event,
    MarketData,
    OpeningAccount,
    RunStarted,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Handler, Pipeline
from services.kernel.risk.stage import RiskStage
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies.stage import SignalStage
from services.reports.run_observer import RunObserver

ENGINE: Final = "events"
REPORT_EVERY: Final = 10_000

Progress = Callable[[int, int], None]
"""Called with the ticks so far and the event time reached, Unix ms."""


def fresh_run(
    run_id: str, settings: dict[str, str], *, at: int, source: str, seed: int, code_version: str
) -> RunStarted:
    """The beginning of a run with a fresh account.

    Args:
        run_id: The run.
        settings: As ``run_started`` records them.
        at: Its timestamp, Unix ms.
        source: ``replay`` or ``synthetic``.
        seed: Of the run.
        code_version: Of this program.
    """
    equity = TradingSettings.parse(settings)[0].account_equity
    return RunStarted(
        event_id=make_id(run_id, topics.PAPER_RUNNER, "run_started"),
        run_id=run_id,
        producer=topics.PAPER_RUNNER,
        schema_version=SCHEMA_VERSION,
        timestamp=at,
        causation_id=None,
        correlation_id=None,
        settings=settings,
        seed=seed,
        code_version=code_version,
        source=source,
        account=OpeningAccount(cash=equity, peak_equity=equity, day_start_equity=equity, day=-1),
    )


def whole_run(run: RunStarted, market: RecordedSource, duration_ms: int = 0) -> Iterator[Event]:
    """What the shells publish in a run on a recorded market, from its start to the end of the data.

    Args:
        run: Its beginning.
        market: Made for the same run id.
        duration_ms: Event time after which the market ends; 0 for the end of the data.

    Raises:
        DataError: A file cannot be read further.
    """
    yield run
    last, ticks = run.timestamp, 0
    for _, event in within_duration(market.steps(0), duration_ms):
        last = event.timestamp
        ticks += type(event) is MarketData
        yield event
    yield source_ended(run.run_id, last, f"{ticks} ticks")


def play(
    run: RunStarted,
    market: RecordedSource,
    duration_ms: int = 0,
    progress: Progress = lambda _ticks, _at: None,
    observers: Iterable[Handler] = (),
) -> RunObserver:
    """Play a whole run.

    Args:
        run: Its beginning.
        market: Made for the same run id.
        duration_ms: As in `whole_run`.
        progress: Called now and then.
        observers: Others that see every event after the stages.

    Raises:
        DataError: A file cannot be read further.
    """
    orchestration = Orchestration()
    observer = RunObserver(orchestration.fold, ENGINE)
    stages: tuple[Handler, ...] = (
        ExecutionStage(),
        RiskStage(),
        SignalStage(),
        orchestration,
        observer,
        *observers,
    )
    pipeline = Pipeline(stages)
    for number, event in enumerate(whole_run(run, market, duration_ms)):
        for _ in pipeline.feed(event):
            pass
        if number % REPORT_EVERY == 0:
            progress(observer.ticks, observer.now)
    progress(observer.ticks, observer.now)
    return observer
