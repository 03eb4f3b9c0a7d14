"""Reads the name of a recorded file: venue, symbol, kind of rows, length of a bar."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from services.cdb_ws.data_error import DataError

QUOTE_SUFFIXES: Final = ("USDT", "USDC", "USD", "BTC", "ETH")
NAME_FORM: Final = (
    "<exchange>_<symbol>_{trades|klines_<step>|bookticker|funding}, then .csv, .csv.gz, .parquet,"
    " or nothing for the folder of a data set"
)

_NAME = re.compile(
    r"(?P<exchange>[^_]+)_(?P<symbol>.+?)_(?P<kind>trades|klines|bookticker|funding)"
    r"(?:_(?P<rest>[^.]+))?(?P<format>\.csv|\.csv\.gz|\.parquet|)",
    re.IGNORECASE,
)
_STEP = re.compile(r"(?P<count>[1-9]\d*)(?P<unit>[smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class FileKind(StrEnum):
    """What one row of a file is."""

    BOOK_TICKER = "bookticker"
    FUNDING = "funding"
    KLINES = "klines"
    TRADES = "trades"


class DataFile(Struct, frozen=True, kw_only=True, order=False):
    """One recorded file, as its name describes it.

    Attributes:
        step_ms: Length of a bar in milliseconds; 0 unless ``kind`` is ``KLINES``.
        step: The bar's length as the name has it, for instance ``1m``.
        parquet: Parquet, one file or the folder of a data set; its volumes are in base currency.
    """

    path: Path
    exchange: str
    symbol: str
    kind: FileKind
    step_ms: int
    step: str
    parquet: bool = False

    @property
    def source(self) -> str:
        """The label that the file's ticks carry; bars' points are marked as synthetic."""
        if self.kind is FileKind.KLINES:
            return f"{self.exchange}:klines_{self.step}:synthetic"
        return self.exchange


def split_symbol(name: str) -> str:
    """``BTCUSDT`` as ``BTC_USDT``, by its quote suffix; what cannot be split stays as it is."""
    name = name.upper()
    if "_" in name:
        return name
    for quote in QUOTE_SUFFIXES:
        if name.endswith(quote) and len(name) > len(quote):
            return f"{name.removesuffix(quote)}_{quote}"
    return name


def describe(path: Path) -> DataFile:
    """Read a file's name.

    Raises:
        DataError: The name does not say venue, symbol and kind.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(
            path, None, "the name does not give symbol and kind", f"name it {NAME_FORM}"
        )
    kind = FileKind(match["kind"].lower())
    step, step_ms = "", 0
    if kind is FileKind.KLINES:
        step = (match["rest"] or "").split("_")[0].lower()
        bar = _STEP.fullmatch(step)
        if bar is None:
            raise DataError(
                path,
                None,
                f"the bars' length {step or '(missing)'!r} is not like 1m, 5m or 1h",
                f"name it {NAME_FORM}",
            )
        step_ms = int(bar["count"]) * _UNIT_MS[bar["unit"]]
    return DataFile(
        path=path,
        exchange=match["exchange"].lower(),
        symbol=split_symbol(match["symbol"]),
        kind=kind,
        step_ms=step_ms,
        step=step,
        parquet=match["format"].lower() in ("", ".parquet"),
    )
