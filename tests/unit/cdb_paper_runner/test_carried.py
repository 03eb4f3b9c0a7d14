"""What a new run goes on with: the orchestrator folds from events what the stages remember."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.kernel.events import (
    Event,
    OpeningAccount,
    OpeningPause,
    OpeningStance,
    OpeningStreak,
    Signal,
    topics,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.risk.stage import RiskStage
from services.kernel.risk.state.risk_state import HOUR_MS
from services.kernel.strategies.momentum import SymbolMomentum
from services.kernel.strategies.stage import SignalStage
from tests import builders as a
from tests.unit.kernel.random_market import RandomMarket

pytestmark = [pytest.mark.unit, pytest.mark.risk]

LONGEST_WAIT_MS = 30_000
"""The stale timeout of the random markets."""
PAUSED = {"retry_ms": 30_000, "reason": "PRICE_JUMP"}


class Floor:
    """The stages on one queue, and the orchestrator that reads what they publish."""

    def __init__(self) -> None:
        self.risk, self.signal = RiskStage(), SignalStage()
        self.runner = Orchestration()
        self.pipeline = Pipeline([ExecutionStage(), self.risk, self.signal])

    def feed(self, event: Event) -> None:
        for published in self.pipeline.feed(event):
            self.runner.handle(published)

    @property
    def carried(self) -> OpeningAccount:
        return self.runner.book.carried_over(self.runner.fold.portfolio)

    def remembered(self) -> dict[str, Any]:
        """The stages' own memory, as the next run would be given it."""
        state, strategy = self.risk.state, msgspec.json.decode(self.signal.snapshot())["strategy"]
        symbols = msgspec.convert(strategy, dict[str, SymbolMomentum])
        now = state.clock
        rests = {s: max(memory.rest_until - now, 0) for s, memory in symbols.items()}
        return {
            "entries_ms": tuple(t + HOUR_MS - now for t in state.entry_times if t + HOUR_MS > now),
            "streaks": tuple(
                OpeningStreak(symbol=s, losses=k.losses, rest_ms=max(k.until - now, 0))
                for s, k in sorted(state.streaks.items())
                if k.losses
            ),
            "pauses": tuple(
                OpeningPause(
                    symbol=s,
                    reason=str(m.anomaly),
                    retry_ms=m.retry_at - now,
                    failed_retries=m.failed_retries,
                )
                for s, m in sorted(state.health.items())
                if m.pauses
            ),
            "stances": tuple(
                OpeningStance(symbol=s, side=memory.side, rest_ms=rests[s])
                for s, memory in sorted(symbols.items())
                if memory.side or rests[s]
            ),
        }


def reported(account: OpeningAccount) -> dict[str, Any]:
    return {name: getattr(account, name) for name in ("entries_ms", "streaks", "pauses", "stances")}


def assert_equal(floor: Floor) -> None:
    """Equal in all; but a rest counts from its signal, which waited for a confirmed price."""
    carried, remembered = reported(floor.carried), floor.remembered()
    stances, known = carried.pop("stances"), remembered.pop("stances")
    assert carried == remembered
    assert [(s.symbol, s.side) for s in stances if s.side] == [
        (s.symbol, s.side) for s in known if s.side
    ]
    rests, known_rests = ({s.symbol: s.rest_ms for s in each} for each in (stances, known))
    for symbol in rests.keys() | known_rests.keys():
        assert 0 <= rests.get(symbol, 0) - known_rests.get(symbol, 0) <= LONGEST_WAIT_MS


def market(seed: int) -> Iterator[Event]:
    """A random one, in which the strategy's signals are its own and all others come by hand."""
    for event in RandomMarket(seed).events(200):
        yield replace(event, external=True) if isinstance(event, Signal) else event


@pytest.mark.parametrize("seed", range(8))
def test_the_orchestrator_knows_what_the_stages_remember_in_every_run(seed: int) -> None:
    floor, seen = Floor(), set()
    for event in market(seed):
        floor.feed(event)
        if event.TOPIC == topics.CLOCK:
            assert_equal(floor)
        seen |= {name for name, value in reported(floor.carried).items() if value}
    assert seen >= {"entries_ms", "streaks", "stances"}

    account = floor.carried
    begun, *rest = market(seed + 100)
    floor.feed(replace(begun, account=account, run_id="run-2", event_id="run-2"))
    assert reported(floor.carried) == reported(account)
    floor.feed(rest.pop(0))
    floor.feed(a.clock(begun.timestamp - 5000))
    assert reported(floor.carried) == reported(account) == floor.remembered()
    for event in rest:
        floor.feed(event)
        if event.TOPIC == topics.CLOCK:
            assert_equal(floor)


def test_the_random_markets_pause_symbols() -> None:
    floor = Floor()
    pauses = 0
    for event in market(1):
        floor.feed(event)
        pauses += bool(floor.carried.pauses)
    assert pauses > 0
