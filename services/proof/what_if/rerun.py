"""Running the stages again on a recorded market, perhaps with other settings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from services.kernel.events import (
    AnyEvent,
    Event,
    OrderResult,
    PortfolioSnapshot,
    RiskDecision,
    RunStarted,
    Signal,
)
from services.kernel.events.codec import decode
from services.kernel.pipeline import Pipeline
from services.kernel.settings.model import SettingError, TradingSettings
from services.proof.verification.comparison import is_stage_made
from services.record.reading import RecordError

Progress = Callable[[int], None]
REPORT_EVERY = 20_000


@dataclass(slots=True)
class Decided:
    """What was decided on one market.

    Attributes:
        signals: By id, in order.
        decisions: In order; by signal, risk's own exits by tick, symbol and origin. Ids follow from
            their causes, so that the same signal has the same id in every run of one market.
        fills: Results that filled something.
        last: The last portfolio snapshot.
    """

    signals: dict[str, Signal] = field(default_factory=dict)
    decisions: dict[str, RiskDecision] = field(default_factory=dict)
    fills: int = 0
    last: PortfolioSnapshot | None = None

    def see(self, event: Event) -> None:
        """Take what a stage made."""
        if isinstance(event, Signal):
            self.signals[event.event_id] = event
        elif isinstance(event, RiskDecision):
            self.decisions[_key(event)] = event
        elif isinstance(event, OrderResult):
            self.fills += event.filled_quantity > 0
        elif isinstance(event, PortfolioSnapshot):
            self.last = event


def _key(decision: RiskDecision) -> str:
    if decision.signal_id is not None:
        return str(decision.causation_id)
    return f"{decision.causation_id}|{decision.symbol}|{decision.origin}"


def parse_changes(assignments: Iterable[str]) -> dict[str, str]:
    """Settings from ``NAME=VALUE`` texts, checked against their ranges.

    Raises:
        SettingError: One is unknown, no number, or out of its range.
    """
    changes: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not value.strip():
            raise SettingError(f"{assignment!r} is no setting; write NAME=VALUE")
        changes[name.strip()] = value.strip()
    parsed, problems = TradingSettings.parse(changes)
    known = parsed.to_mapping()
    for name in changes:
        if name not in known:
            raise SettingError(f"{name} is no trading setting; `claire config` lists them")
    if problems:
        raise SettingError("; ".join(problem.message for problem in problems))
    return {name: known[name] for name in changes}


def recorded(bodies: Iterable[bytes], progress: Progress = lambda _: None) -> Decided:
    """What the record says was decided."""
    decided = Decided()
    for event in _events(bodies, progress):
        if is_stage_made(event):
            decided.see(event)
    return decided


def rerun(
    bodies: Iterable[bytes],
    changes: Mapping[str, str],
    progress: Progress = lambda _: None,
) -> Decided:
    """What the stages decide now, in one process, on what the shells recorded.

    Args:
        bodies: A record from a ``run_started`` on, in total order.
        changes: Settings that replace the recorded ones.
        progress: Called with the number of events read, now and then.

    Raises:
        RecordError: An event cannot be read.
    """
    pipeline, decided = Pipeline(), Decided()
    for event in _events(bodies, progress):
        if is_stage_made(event):
            continue
        if isinstance(event, RunStarted) and changes:
            event = _changed(event, changes)  # noqa: PLW2901 - the run begins with others
        for made in pipeline.feed(event):
            if made is not event and is_stage_made(made):
                decided.see(made)
    return decided


def _changed(run: RunStarted, changes: Mapping[str, str]) -> RunStarted:
    return msgspec.structs.replace(run, settings={**run.settings, **changes})


def _events(bodies: Iterable[bytes], progress: Progress) -> Iterator[AnyEvent]:
    count = 0
    for count, body in enumerate(bodies, start=1):
        try:
            yield decode(body)
        except msgspec.DecodeError as error:
            raise RecordError(f"an event cannot be read ({error}): {body!r}") from None
        if count % REPORT_EVERY == 0:
            progress(count)
    progress(count)
