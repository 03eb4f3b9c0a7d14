"""One embedded paper-trading run, from start to result."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis

from services.cdb_ws.publishing import position
from services.cli.failure import Failure
from services.cli.run import home_check
from services.cli.run.control_script import ControlScript
from services.cli.run.run_options import ControlEntry
from services.kernel.events import AnyEvent, Condition, ConditionName, RunEnded, RunStarted, topics
from services.kernel.events.codec import decode
from services.reports import run_result
from services.runtime.database.connections import (
    DatabaseAwayError,
    DatabaseRefusedError,
    connect_to_read,
)
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession, SessionError

START_SECONDS = 90.0
END_SECONDS = 300.0
TICK_SECONDS = 0.1
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is to be.

    Attributes:
        settings: Variables for the services.
        wanted: What the run is, for the check of what the home already has.
        control: Operator commands by event time.
        fresh: Begin with an empty home.
        console: Start the web console too.
    """

    settings: dict[str, str]
    wanted: home_check.Wanted
    control: tuple[ControlEntry, ...] = ()
    fresh: bool = False
    console: bool = False


@dataclass(slots=True)
class Progress:
    """What is known of a run while it goes on; the display reads it.

    Attributes:
        phase: What is being done, for people.
        page: Address of the web console; empty without one.
        logs: Folder of the services' logs.
        summary: The orchestrator's figures, see its ``/api/summary``; empty before the first.
        ticks: Ticks that the source made so far.
        lines: Things worth telling that happened since the display last looked.
    """

    phase: str = "starting the servers"
    page: str = ""
    logs: Path | None = None
    run_id: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    ticks: int = 0
    lines: list[str] = field(default_factory=list)


class PaperRun:
    """Starts everything, watches it, computes the result, stops everything.

    Args:
        home: Where the run's data goes.
        plan: What it is to be.
        show: Called with the progress, often.
    """

    def __init__(self, home: Home, plan: RunPlan, show: Callable[[Progress], None]) -> None:
        self._home = home
        self._plan = plan
        self._show = show
        self.progress = Progress(logs=home.logs)
        self._started = 0.0
        self._ended = 0.0
        self._run_over = False
        self._looked = 0.0
        self._interrupted = False

    def execute(self) -> run_result.RunResult:
        """Run to the end of the data or the duration, or until Ctrl-C.

        Raises:
            HomeError: The home is in use or cannot be written.
            SessionError: The system did not start, or broke.
            Failure: The home has another market's or a halted run.
        """
        with self._home.taken():
            if self._plan.fresh:
                self._home.clear()
            with EmbeddedSession(self._home, self._plan.settings) as session:
                self._show(self.progress)
                session.start_servers()
                self._check_home(session)
                return self._run(session)

    def _check_home(self, session: EmbeddedSession) -> None:
        try:
            with connect_to_read(session.database, application="claire") as connection:
                problem = home_check.find_problem(connection, self._plan.wanted)
        except (DatabaseAwayError, DatabaseRefusedError) as error:
            raise SessionError(str(error)) from error
        if problem is not None:
            raise Failure(f"{self._home.folder}: {problem}")

    def _run(self, session: EmbeddedSession) -> run_result.RunResult:
        address = session.operator
        client = redis.Redis(
            host=address.host,
            port=address.port,
            username=address.username,
            password=address.password,
            socket_timeout=5.0,
        )
        subscription = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with client, subscription:
            wanted = [topics.CONTROL]
            if self._plan.control:
                wanted += [topics.CLOCK, topics.RISK_DECISIONS]
            subscription.subscribe(*wanted)
            self._say("starting the services")
            session.start_services(console=self._plan.console)
            self.progress.page = session.console or ""
            script = ControlScript(self._plan.control, client.publish)
            try:
                self._follow(session, subscription, script)
            except KeyboardInterrupt:
                self._interrupted = True
        return self._finish(session, script)

    def _follow(self, session: EmbeddedSession, subscription: Any, script: ControlScript) -> None:
        """Until the run is over: read events, post commands, look after the services."""
        deadline = time.monotonic() + START_SECONDS
        while not self._run_over:
            message = subscription.get_message(timeout=TICK_SECONDS)
            if message is not None:
                self._on_event(message["data"], script)
            now = time.monotonic()
            if not self._started and now > deadline:
                reasons = _reasons(session)
                raise SessionError(f"no run started within {START_SECONDS:g} s: {reasons}")
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                self._look(session)
                script.look(now)
        self._look(session)

    def _on_event(self, body: bytes, script: ControlScript) -> None:
        try:
            event = decode(body)
        except msgspec.DecodeError:
            return
        if not event.seq:
            return  # a command on its way to risk
        script.on_event(event)
        self._on_control(event)

    def _on_control(self, event: AnyEvent) -> None:
        match event:
            case RunStarted():
                self.progress.run_id = event.run_id
                self.progress.phase = "trading"
                self._started = time.monotonic()
            case RunEnded():
                self._ended = time.monotonic()
                self._run_over = True
            case Condition() if event.name is not ConditionName.SOURCE_ENDED:
                self.progress.lines.append(f"{event.name} {event.phase}: {event.detail}")

    def _look(self, session: EmbeddedSession) -> None:
        self.progress.lines += session.watch()
        summary = session.ask(topics.PAPER_RUNNER, "/api/summary") or {}
        if summary.get("run_id"):
            self.progress.summary = summary
        source = session.ask(topics.WS, "/status") or {}
        if source.get("run_id") == self.progress.run_id:
            self.progress.ticks = int(source.get("ticks") or 0)
        if not self._started and summary.get("run_id") and not summary.get("ended"):
            # The run was open already: it goes on without a second run_started.
            self._started = time.monotonic()
            self.progress.run_id = str(summary["run_id"])
            self.progress.phase = "trading (the run goes on)"
        self._show(self.progress)

    def _say(self, phase: str) -> None:
        self.progress.phase = phase
        self._show(self.progress)

    def _finish(self, session: EmbeddedSession, script: ControlScript) -> run_result.RunResult:
        if not self.progress.run_id:
            raise SessionError("stopped before a run had started")
        self._ended = self._ended or time.monotonic()
        self._say("stopping the market" if self._interrupted else "writing the record")
        session.stop_services(topics.WS)
        # What it has published is on the bus with its place; its own page is gone with it.
        kept = position.load(session.position(topics.WS), self.progress.run_id)
        self.progress.ticks = kept.ticks
        self.progress.lines += script.left_over()
        return self._result(session)

    def _result(self, session: EmbeddedSession) -> run_result.RunResult:
        session.wait_quiet(END_SECONDS)
        try:
            with connect_to_read(session.database, application="claire") as connection:
                session.wait_until(
                    lambda: run_result.orders_are_written(connection),
                    "orders and trades were not written",
                    END_SECONDS,
                )
                return run_result.compute(
                    connection,
                    self.progress.run_id,
                    ticks_made=self.progress.ticks,
                    seconds=self._ended - self._started,
                )
        except (DatabaseAwayError, DatabaseRefusedError, run_result.NoRunError) as error:
            raise SessionError(str(error)) from error


def _reasons(session: EmbeddedSession) -> str:
    """Why the services say that they cannot work."""
    found = []
    for name in topics.SERVICES:
        health = session.ask(name, "/health")
        if health is None:
            found.append(f"{name} does not answer")
        elif health.get("reason"):
            found.append(f"{name}: {health['reason']}")
    return "; ".join(found) or f"see the logs in {session.home.logs}"
