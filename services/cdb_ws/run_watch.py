"""Which run is on, and what it holds: what ``cdb_ws`` keeps of ``control`` and the fills."""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec import Struct

from services.cdb_ws.replay.past import OpenConditions
from services.cdb_ws.sources.files.file_names import split_symbol
from services.kernel.events import (
    Condition,
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
from services.runtime.intake import event_time


class RunPlan(Struct, frozen=True, kw_only=True):
    """What a run says about its market.

    Attributes:
        speed: ``max``, ``flood``, or a factor of event time over wall time.
        symbols: What to trade; empty lets the source choose.
        duration_ms: Event time after which the market ends; 0 for never.
        behind_ms: The stale timeout: how old a tick may be.
    """

    run_id: str
    source: str
    seed: int
    speed: str
    symbols: tuple[str, ...]
    top_n: int
    lookback_minutes: int
    duration_ms: int
    behind_ms: int = event_time.STALE_MS

    @classmethod
    def of(cls, run: RunStarted) -> "RunPlan":
        """The plan in a run's recorded settings."""
        settings = run.settings
        symbols = settings.get("SYMBOL_WHITELIST", "").replace(",", " ").split()
        return cls(
            run_id=run.run_id,
            source=run.source,
            seed=run.seed,
            speed=settings.get("CDB_SPEED") or "1",
            symbols=tuple(map(split_symbol, symbols)),
            top_n=int(settings.get("TOP_N") or 10),
            lookback_minutes=int(settings.get("LOOKBACK_MINUTES") or 15),
            duration_ms=int(settings.get("CDB_DURATION") or 0) * 1000,
            behind_ms=event_time.stale_ms(settings),
        )


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
