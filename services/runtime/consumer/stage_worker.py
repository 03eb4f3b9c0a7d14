"""A service that is a stage on the bus: the loop around it, its health, status and figures."""

from collections.abc import Callable, Iterable

from prometheus_client.core import Metric

from services.kernel.events import topics
from services.kernel.stage import Stage
from services.runtime import host
from services.runtime.consumer import stage_metrics
from services.runtime.consumer.conditions import LagWatch, OwnConditions
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.service import logging, metrics
from services.runtime.service.health import Health
from services.runtime.service.shell import Shell
from services.runtime.settings.model import Settings

LIVE_CLOCK_LIMIT_S = 10.0
SILENT_CLOCK_S = 15.0
"""A replayed market's clock comes at least that often, in event time."""
CLOCK_SLACK_S = 10.0
LIVE_SOURCES = ("mexc", "external")
"""Markets whose event time is wall time."""
LAG_LIMIT = 10_000
"""Events of its topics that a service may be behind before /health says so."""

_log = logging.get(__name__)

MakeLoop = Callable[..., StageLoop]


class StageWorker:
    """Runs one stage; what HTTP threads ask for is made by the loop's own thread.

    Args:
        shell: Settings, metrics and lifecycle of the service.
        stage: Freshly made.
        make_loop: Makes the loop, `StageLoop` itself or a kind of it.
    """

    def __init__(self, shell: Shell, stage: Stage, make_loop: MakeLoop = StageLoop) -> None:
        self.shell = shell
        self.stage = stage
        self.bus = shell.new_bus()
        self.loop = make_loop(
            stage,
            self.bus,
            on_batch=self._on_batch,
            every_second=self._every_second,
            on_wait=shell.lifecycle.waits,
            snapshot_every_s=shell.settings.snapshot_interval_sec,
        )
        self.on_batch: list[Callable[[], None]] = []
        self.every_second: list[Callable[[], None]] = []
        self.measures: list[Callable[[], Health]] = []
        self._clock_limit_s = clock_limit(shell.settings)
        self._started_at = host.monotonic()
        self.conditions = OwnConditions(self.loop)
        # Falling behind is the point of a flooded benchmark.
        self.is_flooded = shell.settings.cdb_speed == "flood"
        self._watches_lag = shell.service in topics.STAGE_ORDER and not self.is_flooded
        self._lag_watch = LagWatch(self.loop, self.conditions)
        self._status: dict[str, object] = {}
        registry = shell.metrics.registry
        self._batch_seconds = stage_metrics.BATCH_SECONDS.histogram(registry)
        self._event_age = stage_metrics.EVENT_AGE.histogram(registry)
        self._is_live = shell.settings.cdb_source in LIVE_SOURCES
        metrics.Figures(registry, self._figures)

    def run(self, stopping: host.Event) -> None:
        """Run the loop until asked to stop."""
        self.loop.run(stopping)

    def health(self) -> Health:
        """Bus, clock age, data age and lag, measured now."""
        loop = self.loop
        found = loop.measured(LAG_LIMIT)
        reasons = list(found.reasons)
        clock_age, data_age = self.clock_age(), self.data_age()
        if loop.waiting_for is not None:
            pass
        elif loop.context.run_id is None:
            reasons.append("no run has started yet: cdb_paper_runner starts it")
        elif not loop.context.run_ended:
            if clock_age > self._clock_limit_s:
                reasons.append(f"no clock for {clock_age:.1f} s (limit {self._clock_limit_s:g} s)")
            silence = self.shell.settings.trading.data_stale_timeout_sec
            if self.shell.settings.cdb_source == "mexc" and data_age > silence:
                reasons.append(f"no market data for {data_age:.1f} s (limit {silence} s)")
        if loop.context.broken is not None:
            reasons.append(loop.context.broken)
        measured: dict[str, object] = {
            "clock_age_s": round(clock_age, 3),
            "data_age_s": round(data_age, 3),
            "run_id": loop.context.run_id,
            "run_ended": loop.context.run_ended,
            **found.measured,
        }
        for measure in self.measures:
            found = measure()
            reasons += found.reasons
            measured |= found.measured
        return Health(tuple(reasons), measured)

    def status(self) -> dict[str, object]:
        """Where the loop is, and what the stage said within the last second."""
        loop = self.loop
        return {
            "run_id": loop.context.run_id,
            "run_ended": loop.context.run_ended,
            "clock_ms": loop.last_clock_ms,
            "cursor": loop.cursor,
            "bus_lag_events": loop.lag,
            "counters": dict(loop.counters),
            "dead_letters": dict(loop.dead_letters.counts),
            "data_age_s": {name: round(age, 3) for name, age in self.data_ages().items()},
            "stage": self._status,
        }

    def clock_age(self) -> float:
        """Seconds since a clock event was seen; since the start where none was."""
        seen = self.loop.last_clock_monotonic
        return host.monotonic() - (self._started_at if seen is None else seen)

    def data_age(self) -> float:
        """Seconds since any symbol's last tick; since the start where none was."""
        last = max(self.loop.last_data_monotonic.copy().values(), default=self._started_at)
        return host.monotonic() - last

    def data_ages(self) -> dict[str, float]:
        """Symbol to age of its last tick: event time at the last clock, wall time since then."""
        clock = self.loop.last_clock_ms
        if clock is None:
            return {}
        since = self.clock_age()
        last = self.loop.last_data_ms.copy()
        return {name: max(0.0, (clock - at) / 1000) + since for name, at in sorted(last.items())}

    def _on_batch(self) -> None:
        if self.shell.lifecycle.waiting_for is not None:
            self.shell.lifecycle.working()
        if self.loop.batch_seconds is not None:
            self._batch_seconds.observe(self.loop.batch_seconds)
            if self._is_live:
                age = (host.wall_ms() - self.loop.newest_ms) / 1000
                self._event_age.observe(max(0.0, age))
        for hook in self.on_batch:
            hook()

    def _every_second(self) -> None:
        self._status = self.stage.status()
        if self._watches_lag:
            self._lag_watch.look()
        for hook in self.every_second:
            hook()

    def _figures(self) -> Iterable[Metric]:
        loop, counters = self.loop, self.loop.counters.copy()
        yield metrics.HEALTHY.value(float(self.health().ok))
        yield metrics.BUS_CONNECTED.value(float(loop.waiting_for is None))
        yield metrics.BUS_LAG.value(loop.lag)
        yield stage_metrics.CLOCK_AGE.value(self.clock_age())
        yield stage_metrics.DATA_AGE.values(self.data_ages())
        yield stage_metrics.CURSOR.value(loop.cursor)
        yield stage_metrics.HANDLED.value(counters["inputs"])
        yield stage_metrics.PUBLISHED.value(counters["outputs"])
        yield metrics.dead_letters(dict(loop.dead_letters.counts))
        yield stage_metrics.TAKEN.value(counters["outside_taken"])
        yield stage_metrics.IGNORED.value(counters["outside_ignored"])
        yield stage_metrics.SNAPSHOTS.value(counters["snapshots"])
        yield stage_metrics.RESTARTS.value(counters["restarts"])


def clock_limit(settings: Settings) -> float:
    """Seconds without a clock after which a run that goes on is not healthy."""
    if settings.cdb_source in LIVE_SOURCES:
        return LIVE_CLOCK_LIMIT_S
    try:
        pace = float(settings.cdb_speed)
    except ValueError:  # max, flood
        pace = SILENT_CLOCK_S
    return SILENT_CLOCK_S / pace + CLOCK_SLACK_S
