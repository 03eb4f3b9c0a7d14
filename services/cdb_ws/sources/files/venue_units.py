"""What a recorded file's quantities count: base currency, or contracts of which size and kind."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import DataFile, FileKind
from services.kernel.instruments.contracts import Instrument

COIN_MARGINED_USD: Final = Decimal(10)
COIN_MARGINED_BTC_USD: Final = Decimal(100)
ONE: Final = Decimal(1)
LINEAR_SIZES: Final = {("mexc-perp", "THE_USDT"): ONE}
"""Contract sizes of MEXC that the recorded data states, in base currency."""


class VolumeUnit(StrEnum):
    """What a venue counts volume in."""

    BASE = "base"
    CONTRACTS = "contracts"
    QUOTE_CONTRACTS = "quote contracts"


class VenueUnits(Struct, frozen=True, kw_only=True):
    """How a venue counts the quantities of one symbol.

    Attributes:
        unit: What a quantity of the file counts.
        inverse: Whether the contract's face value is in quote, its margin and profit in base.
        contract_size: Units of base, of quote in an inverse contract; None where the quantity is
            not in contracts, or where only the venue's contract details know it.
    """

    unit: VolumeUnit
    inverse: bool = False
    contract_size: Decimal | None = None


def units_of(file: DataFile) -> VenueUnits | None:
    """What the file's quantities count, by its venue and symbol; None where that is unknown.

    Sources: Binance, "COIN-M Futures contract specifications" (BTCUSD 100 USD, others 10 USD);
    BitMEX, XBTUSD (1 USD). A data set or Parquet file has base currency, whatever the venue counts.
    """
    inverse_size = _inverse_size(file.exchange, file.symbol)
    if inverse_size is not None:
        unit = VolumeUnit.BASE if file.parquet else VolumeUnit.QUOTE_CONTRACTS
        return VenueUnits(unit=unit, inverse=True, contract_size=inverse_size)
    if file.parquet or _is(file.exchange, "binance-usdm") or "spot" in file.exchange.split("-"):
        return VenueUnits(unit=VolumeUnit.BASE)
    if _is(file.exchange, "mexc-perp"):
        size = LINEAR_SIZES.get(("mexc-perp", file.symbol))
        return VenueUnits(unit=VolumeUnit.CONTRACTS, contract_size=size)
    return None


def counted_in(file: DataFile, contract: Instrument) -> VolumeUnit:
    """What the file's quantities count, once the contract is known.

    The quantities of a venue that is not known count contracts of the given details.
    """
    known = units_of(file)
    if known is not None and known.unit is VolumeUnit.BASE:
        return VolumeUnit.BASE
    return VolumeUnit.QUOTE_CONTRACTS if contract.inverse else VolumeUnit.CONTRACTS


def require_units(file: DataFile, details: Instrument | None) -> None:
    """Refuse a file whose quantities would be guessed.

    Args:
        file: The file.
        details: The symbol's contract as ``--instruments`` describes it; None without.

    Raises:
        DataError: Nothing states what its quantities count, the details contradict what is known,
            or its lots are not whole contracts.
    """
    known = units_of(file)
    if file.kind is FileKind.FUNDING or (known is not None and known.unit is VolumeUnit.BASE):
        return
    problem = _undescribed(file, known) if details is None else _contradicted(known, details)
    if problem is not None:
        remedy = "give --instruments FILE with the symbol's contract_size"
        if known is None:
            remedy += " (1 for base currency), or name a spot market's file <venue>-spot_..."
        raise DataError(file.path, None, problem, remedy)


def _undescribed(file: DataFile, known: VenueUnits | None) -> str | None:
    if known is None:
        return f"what a quantity of {file.exchange} {file.symbol} counts is not known"
    if known.contract_size is None:
        return f"it counts contracts, and the contract size of {file.symbol} is not known"
    return None


def _contradicted(known: VenueUnits | None, details: Instrument) -> str | None:
    size, lot = details.contract_size, details.lot_size
    if known is not None and known.contract_size is not None:
        given, fixed = _kind(size, details.inverse), _kind(known.contract_size, known.inverse)
        if given != fixed:
            return f"the contracts of {details.symbol} are {fixed}, and --instruments has {given}"
    if lot % size:
        return (
            f"it counts contracts, and a lot of {lot:f} is not a whole number of contracts"
            f" of {size:f}"
        )
    return None


def _kind(size: Decimal, inverse: bool) -> str:
    return f"{'inverse' if inverse else 'linear'} of {size.normalize():f}"


def _inverse_size(exchange: str, symbol: str) -> Decimal | None:
    """Face value of an inverse contract in quote; None where it is none that is known."""
    if _is(exchange, "bitmex") and symbol == "XBT_USD":
        return ONE
    if _is(exchange, "binance-coinm") and symbol.endswith("_USD"):
        return COIN_MARGINED_BTC_USD if symbol == "BTC_USD" else COIN_MARGINED_USD
    return None


def _is(exchange: str, venue: str) -> bool:
    """Whether a file's exchange is this venue, perhaps with a note behind it."""
    return exchange == venue or exchange.startswith(f"{venue}-")
