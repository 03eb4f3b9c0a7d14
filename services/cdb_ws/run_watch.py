"""Which run is on: what ``cdb_ws`` keeps from the topic ``control``."""

from typing import ClassVar

import msgspec
from msgspec import Struct

from services.cdb_ws.sources.file_names import split_symbol
from services.kernel.events import (
    Event,
    Halt,
    Pause,
    Recovered,
    Reset,
    Resume,
    RunEnded,
    RunStarted,
)
from services.kernel.topics import CONTROL, WS


class RunPlan(Struct, frozen=True, kw_only=True):
    """What a run says about its market.

    Attributes:
        speed: ``max``, ``flood``, or a factor of event time over wall time.
        symbols: What to trade; empty lets the source choose.
        duration_ms: Event time after which the market ends; 0 for never.
    """

    run_id: str
    source: str
    seed: int
    speed: str
    symbols: tuple[str, ...]
    top_n: int
    lookback_minutes: int
    duration_ms: int

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
        )


class _State(Struct, kw_only=True):
    run: RunStarted | None = None
    ended: bool = False
    recovered_ms: int = 0
    commands: int = 0


class RunWatch:
    """A stage without outputs: it only remembers the run."""

    name: ClassVar[str] = WS
    topics: ClassVar[frozenset[str]] = frozenset({CONTROL})

    def __init__(self) -> None:
        self._state = _State()

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

    def handle(self, event: Event) -> list[Event]:
        """Note the beginning and the end of a run."""
        if isinstance(event, RunStarted):
            self._state = _State(run=event)
        elif isinstance(event, RunEnded) and self._state.run is not None:
            self._state.ended = self._state.ended or event.run_id == self._state.run.run_id
        elif isinstance(event, Recovered):
            self._state.recovered_ms = event.timestamp
        elif isinstance(event, Halt | Reset | Pause | Resume):
            self._state.commands += 1
        return []

    def snapshot(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(self._state)

    def restore(self, state: bytes) -> None:
        """The state that ``snapshot`` gave."""
        self._state = msgspec.json.decode(state, type=_State)

    def status(self) -> dict[str, object]:
        """The run, for /status."""
        run = self._state.run
        return {"run_id": run.run_id if run else None, "run_ended": self._state.ended}
