"""The worker of ``cdb_ws``: wait for a run, publish its market, wait for the next run."""

from collections.abc import Callable
from typing import Final

from services.cdb_ws.config import FeedConfig
from services.cdb_ws.control_subscriber import ControlSubscriber
from services.cdb_ws.data_error import DataError
from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.live.source import Mexc
from services.cdb_ws.publishing import position
from services.cdb_ws.publishing.backpressure import Pressure
from services.cdb_ws.publishing.position import Position
from services.cdb_ws.publishing.publisher import Publisher
from services.cdb_ws.recording.recorder import Recorder
from services.cdb_ws.replay import past
from services.cdb_ws.replay.holds import Holds
from services.cdb_ws.replay.listener import Listener
from services.cdb_ws.replay.past import Past
from services.cdb_ws.replay.runner import PlaceMissing, ReplayRunner, pace_of
from services.cdb_ws.run_plan import RunPlan
from services.cdb_ws.sources.external import ExternalMarket
from services.cdb_ws.sources.live import LiveSource
from services.cdb_ws.sources.markets import open_market
from services.cdb_ws.sources.recorded import RecordedSource
from services.cdb_ws.sources.synthetic import Synthetic
from services.kernel.events import MarketData, RunStarted, codec
from services.kernel.events.topics import MARKET_DATA
from services.kernel.market.run_watch import RunWatch
from services.kernel.settings.model import SettingError
from services.runtime import host
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.lockstep import LockStep
from services.runtime.bus.subscription import ExternalMessage, Rewound
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.intake.event_time import Verdict
from services.runtime.service import logging
from services.runtime.service.health import Health
from services.runtime.service.shell import Shell
from services.venues.mexc.rest import hosts_for

IDLE_S: Final = 0.2
HOLD_WAIT_S: Final = 0.01
LOOK_EVERY_S: Final = 0.05
CLOCK_LIMIT_S: Final = 10.0

_log = logging.get(__name__)


class Feed:
    """The worker of ``cdb_ws``.

    One thread does everything, so that published and received events keep their order.

    Args:
        shell: Settings, metrics and lifecycle.
        config: Where the market is.

    Attributes:
        on_sent: Called with the seconds that each publication took.
    """

    def __init__(self, shell: Shell, config: FeedConfig) -> None:
        self.bus: Bus = shell.new_bus()
        self.watch = RunWatch()
        self.publisher: Publisher | None = None
        self.runner: ReplayRunner | None = None
        self.listener: Listener | None = None
        self.trouble: str | None = None
        self.on_sent: Callable[[float], None] = lambda _: None
        self._shell = shell
        self._config = config
        self._stopping = shell.lifecycle.stopping
        self.recorder: Recorder | None = None
        self._external: ExternalMarket | None = None
        self._run_id: str | None = None
        self._look_at = 0.0
        self.pressure = Pressure(self.bus)
        self._holds = Holds(config.hold_at, self.watch, self._stages_are_idle)
        self.control = ControlSubscriber(
            self.watch,
            self.bus,
            self._take_outside,
            receive_market_data=config.receive_market_data,
            snapshot_every_s=config.snapshot_interval_s,
        )

    # -- work ---------------------------------------------------------------------------------

    def run(self, stopping: host.Event) -> None:
        """Serve one run after the other until asked to stop.

        Raises:
            Unavailable: The bus is away; call again to continue.
            Refused: Another instance took over, or the bus lost something.
        """
        self._stopping = stopping
        try:
            self.control.start()
            if self._config.record_dir is not None:
                self.recorder = Recorder(self._config.record_dir)
                self.recorder.start()
            self._external = self._external_market()
            while not stopping.is_set():
                self._shell.lifecycle.working()
                run = self.watch.open_run
                if run is None or run.run_id == self._run_id:
                    self.control.step(IDLE_S)
                else:
                    self._serve(run)
            self.control.save_snapshot()
        except Rewound as lost:
            raise Unavailable(str(lost)) from lost
        finally:
            self._run_id = None
            if self.recorder is not None:
                self.recorder.close()
            self.control.close()

    def _serve(self, run: RunStarted) -> None:
        """Publish the market of one run, to its end or until the run is over."""
        plan = RunPlan.of(run)
        claim = self.bus.own_claim()
        start = position.load(claim.position, plan.run_id)
        self._run_id = plan.run_id
        forgotten = self._published_after(start)
        self.runner = self.listener = self.trouble = None
        self.publisher = Publisher(
            self.bus,
            start,
            self._stopping,
            self._shell.lifecycle.waits,
            self.recorder,
            self.on_sent,
        )
        assert self._external is not None
        _log.info(
            "run", run_id=plan.run_id, source=plan.source, speed=plan.speed, after=start.cursor
        )
        if start.ended:
            return
        if plan.source != self._config.source:
            self.trouble = f"the run's market is {plan.source}, CDB_SOURCE={self._config.source}"
            return
        if plan.source in ("replay", "synthetic"):
            self._play(plan)
        else:
            self._listen(plan, forgotten=forgotten)

    def _published_after(self, kept: Position) -> bool:
        """Whether this process has published more of the run than the bus still has."""
        if self.publisher is None or self.publisher.position.run_id != kept.run_id:
            return False
        mine = self.publisher.position
        return mine.ticks > kept.ticks or mine.clock > kept.clock

    def _play(self, plan: RunPlan) -> None:
        assert self.publisher is not None
        try:
            source = self._recorded(plan)
        except DataError as error:
            raise SettingError(str(error)) from error
        self.runner = ReplayRunner(
            source,
            plan,
            self.publisher,
            pace_of(plan.speed, self.bus, self._pause),
            self.pressure,
            self._poll_control_and_hold,
            self.watch.recovered_ms,
        )
        try:
            self.runner.play()
        except DataError as error:
            raise SettingError(str(error)) from error
        except PlaceMissing as missing:
            files = ", ".join(map(str, self._config.data))
            raise SettingError(
                f"{files} (CDB_DATA) has no event {missing}, behind which run {plan.run_id} goes"
                " on: that is not the data that it began with. Put that back, or begin with an"
                " empty record (claire run-paper --fresh, claire down --volumes)"
            ) from missing
        self.trouble = self.runner.failed

    def _recorded(self, plan: RunPlan) -> RecordedSource:
        if plan.source == "replay":
            return open_market(
                self._config.data,
                plan.run_id,
                self._config.instruments,
                behind_ms=plan.behind_ms,
                refuse=self._refuse_tick,
            )
        return Synthetic(plan.run_id, plan.seed, plan.symbols, plan.lookback_minutes)

    def _listen(self, plan: RunPlan, *, forgotten: bool) -> None:
        assert self.publisher is not None
        # Missing trades of a venue are requested again; messages by hand are gone.
        by_hand = plan.source == "external"
        earlier = past.read(self.bus, plan.run_id, self.watch.open, ticks=not by_hand)
        source = self._live(plan, earlier)
        # Messages by hand arrive on the bus; a venue's data arrives by itself.
        poll_control = self._poll_control if by_hand else self._pause
        self.listener = Listener(source, plan, self.publisher, self.pressure, poll_control)
        lost = by_hand and (forgotten or earlier.cut_off)
        self.listener.listen(earlier.ticks, earlier.clock_ms if lost else 0)

    def _refuse_tick(self, tick: MarketData) -> None:
        self.control.dead_letters.put(Verdict.BEHIND.value, MARKET_DATA, codec.encode(tick))

    def _live(self, plan: RunPlan, earlier: Past) -> LiveSource:
        if plan.source == "external":
            assert self._external is not None
            return self._external
        config = EngineConfig(
            run_id=plan.run_id,
            ws_url=self._config.mexc_ws_url,
            rest_urls=hosts_for(self._config.mexc_rest_url),
            symbols=plan.symbols,
            top_n=plan.top_n,
            lookback_minutes=plan.lookback_minutes,
            uncertain_symbols=earlier.uncertain_symbols,
            clock_offsets=tuple(one or None for one in sorted(earlier.open.clock_offsets)),
            behind_ms=plan.behind_ms,
            cache=self._config.cache_dir,
        )
        on_frame = self.recorder.frame if self.recorder is not None else None
        return Mexc(config, on_frame, held=self.watch.held)

    def _poll_control_and_hold(self, seconds: float) -> bool:
        """Like ``_poll_control``, but also wait for operator commands that are due."""
        goes_on = self._poll_control(seconds)
        while goes_on and self.publisher and self._holds.holds(self.publisher.position.clock):
            goes_on = self._poll_control(HOLD_WAIT_S)
        return goes_on

    def _stages_are_idle(self) -> bool:
        lockstep = LockStep(self.bus)
        try:
            return lockstep.wait_idle(LOOK_EVERY_S)
        finally:
            lockstep.close()

    # -- in between ---------------------------------------------------------------------------

    def _pause(self, seconds: float) -> bool:
        """Like ``_poll_control``, without it in short waits: own ticks would end each of them."""
        if 0 < seconds < LOOK_EVERY_S and host.monotonic() < self._look_at:
            self._stopping.wait(seconds)
            seconds = 0
        return self._poll_control(seconds)

    def _poll_control(self, seconds: float) -> bool:
        """Receive what is on ``control``; returns whether this run goes on."""
        now = host.monotonic()
        if seconds > 0 or now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            try:
                self.control.step(seconds)
                self._shell.lifecycle.working()
            except Unavailable as away:
                # Publishing waits for the bus by itself; receiving only tries again.
                self._shell.lifecycle.waits(str(away))
                self._stopping.wait(IDLE_S)
        run = self.watch.open_run
        return not self._stopping.is_set() and run is not None and run.run_id == self._run_id

    def _external_market(self) -> ExternalMarket:
        claim = self.bus.own_claim()
        return ExternalMarket(f"{claim.epoch}:{claim.instance}", self._config.known_contracts())

    def _take_outside(self, message: ExternalMessage, context: LoopContext) -> None:
        assert self._external is not None
        self._external.put(message, context)

    # -- figures ------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the bus is connected."""
        return self._shell.lifecycle.waiting_for is None

    @property
    def external_taken(self) -> int:
        """Number of external messages that became events."""
        return self._external.taken if self._external else 0

    def health(self) -> Health:
        """Health of bus, clock and market, measured now."""
        reasons = [reason for reason in (self.trouble, self.control.context.broken) if reason]
        run, publisher, listener = self.watch.open_run, self.publisher, self.listener
        if publisher is not None and publisher.position.ended:
            run = None  # the market has ended; the orchestrator ends the run
        measured: dict[str, object] = {
            "writer_lag_events": self.pressure.writer_lag,
            "memory": round(self.pressure.memory, 3),
            "held_by": self.runner.held_by if self.runner else None,
        }
        if not reasons and self.watch.last_run is None:
            reasons.append("no run has started yet: cdb_paper_runner starts it")
        if run is not None and publisher is not None and publisher.last_clock_at is not None:
            age = host.monotonic() - publisher.last_clock_at
            measured["clock_age_s"] = round(age, 3)
            if listener is not None and age > CLOCK_LIMIT_S:
                reasons.append(f"no clock for {age:.1f} s (limit {CLOCK_LIMIT_S:g} s)")
        if run is not None and listener is not None:
            reasons += listener.source.troubles()
        return Health(tuple(reasons), measured)

    def status(self) -> dict[str, object]:
        """The run, its market, and how far it is published."""
        publisher, runner, listener = self.publisher, self.runner, self.listener
        found = self.watch.status() | {
            "source": self._config.source,
            "outside_taken": self.external_taken,
            "outside_ignored": self.control.counters["outside_ignored"],
            "dead_letters": dict(self.control.dead_letters.counts),
            "recording": self.recorder.counts() if self.recorder else None,
        }
        if publisher is not None:
            now = publisher.position
            found |= {
                "ticks": now.ticks,
                "clock_ms": now.clock,
                "cursor": now.cursor,
                "ended": now.ended,
                "ticks_by_kind": dict(publisher.by_kind),
                "last_tick_ms": dict(publisher.last_tick_ms),
            }
        if runner is not None:
            found |= {"market": runner.source.counts(), "held_by": runner.held_by}
        if listener is not None:
            found |= {"market": listener.source.counts(), "dropped": listener.dropped}
        return found
