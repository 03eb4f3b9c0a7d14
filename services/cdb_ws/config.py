"""The settings of ``cdb_ws``; what defines a run comes with ``run_started`` instead."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files import instrument_file
from services.cdb_ws.sources.markets import open_market
from services.kernel.events import topics
from services.kernel.instruments.contracts import Instrument
from services.kernel.settings.model import SettingError
from services.runtime.service.variables import COMMON_VARIABLES
from services.runtime.settings.model import Settings

SERVICE: Final = topics.WS
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = (
    *COMMON_VARIABLES,
    "REDIS_PASSWORD_CDB_WS",
    "CDB_DATA",
    "CDB_INSTRUMENTS",
    "CDB_HOLD_AT",
    "MEXC_WS_URL",
    "MEXC_REST_URL",
    "CDB_CACHE_DIR",
    "RECORD",
    "RECORD_DIR",
)
"""What this service reads at its start. Seed, symbols, look-back, speed and duration come with the
run: ``CDB_SEED``, ``SYMBOL_WHITELIST``, ``TOP_N``, ``LOOKBACK_MINUTES``, ``CDB_SPEED``,
``CDB_DURATION`` as ``run_started`` recorded them."""


class FeedConfig(Struct, frozen=True, kw_only=True):
    """Where the market is.

    Attributes:
        source: ``mexc``, ``replay``, ``synthetic`` or ``external``; must equal that of the run.
        data: Files of a replay.
        instruments: File with contract details.
        receive_market_data: Whether external messages on ``market_data`` are received, if only to
        refuse them where the source is another. A flooded benchmark switches it off.
        cache_dir: Folder for MEXC's contract details; None: no cache.
        record_dir: Folder in which the market is recorded; None: no recording.
        hold_at: Event times (Unix ms) at which a recorded market waits for an operator command.
    """

    source: str
    data: tuple[Path, ...] = ()
    instruments: Path | None = None
    hold_at: tuple[int, ...] = ()
    mexc_ws_url: str = ""
    mexc_rest_url: str = ""
    cache_dir: Path | None = None
    record_dir: Path | None = None
    receive_market_data: bool = True
    snapshot_interval_s: float = 10.0

    @classmethod
    def of(cls, settings: Settings) -> "FeedConfig":
        """The part of the settings that this service uses."""
        return cls(
            source=settings.cdb_source,
            data=settings.cdb_data,
            instruments=settings.cdb_instruments,
            hold_at=settings.cdb_hold_at,
            mexc_ws_url=settings.mexc_ws_url,
            mexc_rest_url=settings.mexc_rest_url,
            cache_dir=settings.cdb_cache_dir,
            record_dir=settings.record_dir if settings.record else None,
            receive_market_data=settings.cdb_speed != "flood",
            snapshot_interval_s=settings.snapshot_interval_sec,
        )

    def check(self) -> None:
        """Check the files before the service starts.

        Raises:
            SettingError: A file is missing or unusable; one line says which, where and why.
        """
        try:
            if self.source == "replay":
                if not self.data:
                    raise SettingError("CDB_DATA is not set; CDB_SOURCE=replay needs its files")
                open_market(self.data, "check", self.instruments)
            else:
                self.known_contracts()
        except DataError as error:
            raise SettingError(str(error)) from error

    def known_contracts(self) -> dict[str, Instrument]:
        """Contract details from the file, by symbol; empty without one.

        Raises:
            DataError: The file is unusable.
        """
        found = instrument_file.read(self.instruments) if self.instruments else {}
        return {symbol: details.contract for symbol, details in found.items()}
