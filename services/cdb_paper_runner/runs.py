"""Deciding about runs: the open one goes on while nothing that shapes it changed."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.kernel.events import (
    SCHEMA_VERSION,
    Alert,
    AlertLevel,
    AlertPhase,
    Event,
    OpeningAccount,
    RunEnded,
    RunStarted,
    topics,
)
from services.kernel.events.ids import make_id
from services.runtime import host
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.service import logging
from services.runtime.service.code_version import code_version
from services.runtime.settings.model import Settings

FINITE_SOURCES = frozenset({"replay", "synthetic"})
SUPERSEDED = "SUPERSEDED"
MARKET_SETTINGS = {"replay": "CDB_DATA", "synthetic": "CDB_SEED"}
"""What chooses the market beside its source."""

_log = logging.get(__name__)


def market_of(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Which market a run's settings choose; only within one has a position a price."""
    source = settings.get("CDB_SOURCE", "")
    chosen = settings.get(MARKET_SETTINGS.get(source, ""), "")
    return (source, chosen) if chosen else (source,)


class Runs:
    """Sees to it that the run which the settings ask for is on.

    Call ``look`` about once a second in the loop's thread: it acts only when everything published
    was handled, and each of its steps may be repeated after a crash.

    Args:
        stage: What is known of the runs.
        loop: Publishes, and knows how far the other services are.
        settings: What the run is to be.
        now_ms: Wall clock, Unix milliseconds.

    Attributes:
        waiting_for: What keeps a run from starting; None while nothing does.
    """

    def __init__(
        self,
        stage: Orchestration,
        loop: StageLoop,
        settings: Settings,
        now_ms: Callable[[], int] = host.wall_ms,
    ) -> None:
        self.waiting_for: str | None = "looking for an open run"
        self._stage = stage
        self._loop = loop
        self._settings = settings
        self._wanted = settings.run_settings()
        self._now_ms = now_ms
        self._seen_open = ""
        self._ended = ""
        self._checked_account_of = ""

    def begin(self) -> None:
        """The loop begins (again): nothing is known until it has read everything."""
        self.waiting_for = "looking for an open run"

    def notice(self) -> None:
        """After each batch: an open run that is as wanted goes on as soon as all of it is known."""
        run = self._stage.book.run
        if self.waiting_for is None or run is None or not self._loop.caught_up:
            return
        book = self._stage.book
        if book.is_open and not self.changed(run) and book.superseded_by is None:
            self._go_on(run)

    def look(self) -> None:
        """End a run that is no longer wanted, start the one that is."""
        book = self._stage.book
        # No other run can have begun meanwhile: only this service begins one.
        released = self._loop.caught_up and book.is_open and book.superseded_by is not None
        if self._loop.lag > 0 and not released:
            # A busy market is always a few events ahead; that hinders only who does not know yet.
            if self.waiting_for is not None:
                self.waiting_for = f"reading the record, {self._loop.lag} events to go"
            return
        run = book.run
        if run is None:
            self._start(self._fresh_account())
        elif book.is_open:
            changed = self.changed(run)
            if book.superseded_by is not None:
                self._end(run, f"a person released it after {book.superseded_by}")
            elif changed:
                self._end(run, f"changed {', '.join(changed)}")
            else:
                self._go_on(run)
        elif self._is_over(run):
            self.waiting_for = None
        elif behind := self._not_yet_ended():
            self.waiting_for = behind
        elif self._account_is_uncertain(run):
            self.waiting_for = "the account, made again from the record"
            self._checked_account_of = run.run_id
            self._loop.forget()
        else:
            self._start(self._next_account(run))

    def changed(self, run: RunStarted) -> tuple[str, ...]:
        """What of settings, source and code differs from that run; nothing: it can go on."""
        differing = [
            name
            for name in sorted(run.settings.keys() | self._wanted.keys())
            if run.settings.get(name) != self._wanted.get(name)
        ]
        if run.seed != self._settings.cdb_seed:
            differing.append("seed")
        if run.code_version != code_version():
            differing.append("code version")
        return tuple(differing)

    def _is_over(self, run: RunStarted) -> bool:
        """Whether there is nothing to do after the end of that run.

        A recorded market is played once: again takes a fresh record, because time does not go
        back. A live one whose duration is over begins again with the next start of this process.
        """
        if (self._stage.book.end_reason or "").startswith(SUPERSEDED) or self.changed(run):
            return False
        return run.source in FINITE_SOURCES or run.run_id == self._seen_open

    def _go_on(self, run: RunStarted) -> None:
        self.waiting_for = None
        if self._seen_open != run.run_id:
            self._seen_open = run.run_id
            _log.info("run_is_open", run_id=run.run_id)

    def _not_yet_ended(self) -> str | None:
        """A stage that may still publish for the ended run; a fill would be missing in the next."""
        ended_at = self._stage.book.ended_at_seq
        for service in topics.STAGE_ORDER:
            if self._loop.bus.cursor_of(service).seq < ended_at:
                return f"{service} has not come to the end of the last run yet"
        return None

    def _account_is_uncertain(self, run: RunStarted) -> bool:
        """Whether folds differed: then this one may be wrong, and what the record makes is right.

        Unless the record lacks an event that this fold has seen.
        """
        book = self._stage.book
        differed = book.broken is not None and not book.incomplete
        return differed and self._checked_account_of != run.run_id

    def _end(self, run: RunStarted, why: str) -> None:
        if self._ended == run.run_id:
            return  # published, and not read yet
        # The stage may publish an end of its own meanwhile: these two are two events.
        event_id = make_id(run.run_id, topics.PAPER_RUNNER, "run_ended", SUPERSEDED)
        event = RunEnded(
            event_id=event_id,
            run_id=run.run_id,
            producer=topics.PAPER_RUNNER,
            schema_version=SCHEMA_VERSION,
            timestamp=self._stage.book.last_clock or run.timestamp,
            causation_id=None,
            correlation_id=None,
            reason=f"{SUPERSEDED}: {why}",
        )
        _log.info("run_superseded", run_id=run.run_id, reason=why)
        self._loop.publish([event], shell_id=event_id)
        self._ended = run.run_id
        self.waiting_for = "the end of the last run"

    def _fresh_account(self) -> OpeningAccount:
        equity = self._settings.trading.account_equity
        return OpeningAccount(cash=equity, peak_equity=equity, day_start_equity=equity, day=-1)

    def _next_account(self, run: RunStarted) -> OpeningAccount:
        """What the next run begins with: on another market an account without the past of this one.

        What is held has no price there. What a person decided or must decide stays.
        """
        account = self._stage.book.carried_over(self._stage.fold.portfolio)
        if market_of(run.settings) == market_of(self._wanted):
            return account
        return replace(
            self._fresh_account(),
            halted=account.halted,
            quarantined=account.quarantined,
            paused=account.paused,
            paused_symbols=account.paused_symbols,
        )

    def _start(self, account: OpeningAccount) -> None:
        previous = self._stage.book.run
        version = code_version()
        run_id = make_id(
            "run",
            previous.run_id if previous else "",
            self._loop.bus.own_claim().epoch,
            version,
            *(f"{name}={value}" for name, value in sorted(self._wanted.items())),
        )
        now = self._now_ms()
        started = RunStarted(
            event_id=make_id(run_id, topics.PAPER_RUNNER, "run_started"),
            run_id=run_id,
            producer=topics.PAPER_RUNNER,
            schema_version=SCHEMA_VERSION,
            timestamp=now,
            causation_id=None,
            correlation_id=None,
            settings=self._wanted,
            seed=self._settings.cdb_seed,
            code_version=version,
            source=self._settings.cdb_source,
            account=account,
        )
        events: list[Event] = [started, *self._setting_alerts(run_id, now)]
        if previous is not None and market_of(previous.settings) != market_of(self._wanted):
            events.append(self._market_alert(previous, started))
        _log.info("run_started", run_id=run_id, source=started.source, halted=account.halted)
        self._loop.publish(events, shell_id=started.event_id)
        self.waiting_for = None

    def _market_alert(self, previous: RunStarted, started: RunStarted) -> Alert:
        portfolio = self._stage.fold.portfolio
        held = sorted(portfolio.state.positions.items())
        left = ", ".join(f"{position.quantity:f} {symbol}" for symbol, position in held)
        before, after = (" ".join(market_of(run.settings)) for run in (previous, started))
        return _run_alert(
            started.run_id,
            started.timestamp,
            "MARKET_CHANGED",
            f"the market changed from {before} to {after}: the account begins with"
            f" {started.account.cash:f}; equity {portfolio.equity:f} and {left or 'no position'} of"
            " the run before are not carried over; a halt and what is paused stay",
            {"name": "CDB_SOURCE"},
        )

    def _setting_alerts(self, run_id: str, now: int) -> list[Alert]:
        out_of_range = [
            _run_alert(
                run_id,
                now,
                "SETTING_OUT_OF_RANGE",
                problem.message,
                {"name": problem.name, "given": str(problem.given), "used": str(problem.used)},
            )
            for problem in self._settings.problems
        ]
        return out_of_range + [
            _run_alert(
                run_id,
                now,
                "SETTINGS_CONTRADICT",
                found.message,
                {"name": ", ".join(found.names)},
            )
            for found in self._settings.inconsistencies
        ]


def _run_alert(run_id: str, now: int, code: str, message: str, context: dict[str, str]) -> Alert:
    return Alert(
        event_id=make_id(run_id, topics.PAPER_RUNNER, code, context["name"]),
        run_id=run_id,
        producer=topics.PAPER_RUNNER,
        schema_version=SCHEMA_VERSION,
        timestamp=now,
        causation_id=None,
        correlation_id=None,
        level=AlertLevel.WARNING,
        code=code,
        message=message,
        symbol=None,
        layer=None,
        phase=AlertPhase.BEGAN,
        count=1,
        context=context,
    )
