"""The market's run: which one is on and what it holds, as its source needs to know."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec import Struct

from services.kernel.events import (
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    Halt,
    OrderResult,
    Pause,
    Recovered,
    Reset,
    Resume,
    RunEnded,
    RunStarted,
    Side,
)
from services.kernel.events.topics import CONTROL, ORDER_RESULTS, WS


class OpenConditions:
    """Conditions of this service that are on the record and not over.

    Args:
        gaps: Symbols with a ``DATA_GAP``.
        clock_offsets: Symbols with a ``CLOCK_OFFSET``; "" for one of the whole market.
    """

    def __init__(self, gaps: Iterable[str] = (), clock_offsets: Iterable[str] = ()) -> None:
        self.gaps = set(gaps)
        self.clock_offsets = set(clock_offsets)

    def copy(self) -> "OpenConditions":
        """The same ones, to go on from."""
        return OpenConditions(self.gaps, self.clock_offsets)

    def note(self, event: Condition) -> None:
        """A condition was published."""
        if event.name is ConditionName.CLOCK_OFFSET:
            symbols = self.clock_offsets
        elif event.name is ConditionName.DATA_GAP and event.symbol is not None:
            symbols = self.gaps
        else:
            return
        if event.phase is ConditionPhase.BEGAN:
            symbols.add(event.symbol or "")
        else:
            symbols.discard(event.symbol or "")


class _State(Struct, kw_only=True):
    run: RunStarted | None = None
    ended: bool = False
    recovered_ms: int = 0
    commands: int = 0
    gaps: list[str] = []
    clock_offsets: list[str] = []
    quantities: dict[str, Decimal] = {}


class RunWatch:
    """A stage without outputs: it only remembers the run.

    Attributes:
        open: Conditions of this run, of this service's making, that are not over.
    """

    name: ClassVar[str] = WS
    topics: ClassVar[frozenset[str]] = frozenset({CONTROL, ORDER_RESULTS})

    def __init__(self) -> None:
        self._state = _State()
        self.open = OpenConditions()
        self._held: frozenset[str] = frozenset()

    @property
    def open_run(self) -> RunStarted | None:
        """The run that has started and not ended."""
        return None if self._state.ended else self._state.run

    @property
    def last_run(self) -> RunStarted | None:
        """The last run, whether it has ended or not."""
        return self._state.run

    @property
    def recovered_ms(self) -> int:
        """The last clock that survived a loss of the bus's memory in this run; 0 without one."""
        return self._state.recovered_ms

    @property
    def commands(self) -> int:
        """Operator commands that risk published in this run."""
        return self._state.commands

    @property
    def quantities(self) -> dict[str, Decimal]:
        """Open positions by symbol, in base units; negative when short."""
        return dict(self._state.quantities)

    def held(self) -> frozenset[str]:
        """Symbols with an open position. For any thread: the set itself never changes."""
        return self._held

    def handle(self, event: Event) -> list[Event]:
        """Note the beginning and the end of a run, and what it holds meanwhile."""
        if isinstance(event, OrderResult):
            self._filled(event)
        elif isinstance(event, RunStarted):
            self._state = _State(run=event, quantities=_opening(event))
            self.open = OpenConditions()
            self._held = frozenset(self._state.quantities)
        elif isinstance(event, RunEnded) and self._state.run is not None:
            self._state.ended = self._state.ended or event.run_id == self._state.run.run_id
        elif isinstance(event, Recovered):
            self._state.recovered_ms = event.timestamp
        elif isinstance(event, Halt | Reset | Pause | Resume):
            self._state.commands += 1
        elif isinstance(event, Condition):
            self.open.note(event)
        return []

    def snapshot(self) -> bytes:
        """The state as JSON."""
        self._state.gaps = sorted(self.open.gaps)
        self._state.clock_offsets = sorted(self.open.clock_offsets)
        return msgspec.json.encode(self._state)

    def restore(self, state: bytes) -> None:
        """The state that ``snapshot`` gave."""
        self._state = msgspec.json.decode(state, type=_State)
        self.open = OpenConditions(self._state.gaps, self._state.clock_offsets)
        self._held = frozenset(self._state.quantities)

    def status(self) -> dict[str, object]:
        """The run, for /status."""
        run = self._state.run
        return {
            "run_id": run.run_id if run else None,
            "run_ended": self._state.ended,
            "held": sorted(self._held),
        }

    def _filled(self, result: OrderResult) -> None:
        if self._state.run is None or result.run_id != self._state.run.run_id:
            return
        quantities, symbol = self._state.quantities, result.symbol
        signed = result.filled_quantity if result.side is Side.BUY else -result.filled_quantity
        quantity = quantities.get(symbol, Decimal(0)) + signed
        if quantity:
            quantities[symbol] = quantity
        else:
            quantities.pop(symbol, None)
        if (symbol in self._held) is not (symbol in quantities):
            self._held = frozenset(quantities)


def _opening(run: RunStarted) -> dict[str, Decimal]:
    return {one.symbol: one.quantity for one in run.account.positions if one.quantity}
