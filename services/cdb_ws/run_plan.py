"""What ``run_started`` says about the market of a run."""

from collections.abc import Mapping

from msgspec import Struct

from services.cdb_ws.sources.files.file_names import split_symbol
from services.kernel.events import RunStarted
from services.runtime.intake import event_time


class RunPlan(Struct, frozen=True, kw_only=True):
    """What ``run_started`` says about the market of a run.

    Attributes:
        speed: ``max``, ``flood``, or a factor of event time over wall time.
        symbols: Symbols to trade; empty: the source chooses.
        duration_ms: Event time after which the market ends; 0 for never.
        behind_ms: The stale timeout: maximum age of a tick.
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
        """The plan in the recorded settings of a run."""
        return cls.read(run.run_id, run.source, run.seed, run.settings)

    @classmethod
    def read(cls, run_id: str, source: str, seed: int, settings: Mapping[str, str]) -> "RunPlan":
        """The plan in settings as ``run_started`` records them."""
        symbols = settings.get("SYMBOL_WHITELIST", "").replace(",", " ").split()
        return cls(
            run_id=run_id,
            source=source,
            seed=seed,
            speed=settings.get("CDB_SPEED") or "1",
            symbols=tuple(map(split_symbol, symbols)),
            top_n=int(settings.get("TOP_N") or 10),
            lookback_minutes=int(settings.get("LOOKBACK_MINUTES") or 15),
            duration_ms=int(settings.get("CDB_DURATION") or 0) * 1000,
            behind_ms=event_time.stale_ms(settings),
        )
