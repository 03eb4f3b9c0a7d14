"""Contract details for a replay: from ``--instruments FILE``, else generic ones from the data."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import split_symbol
from services.kernel.bounded_json import Decoder
from services.kernel.instruments.contracts import Instrument, generic_instrument
from services.venues.mexc.rest_messages import decode_contract

FALLBACK_TICK: Final = Decimal("0.01")
"""Where no price shows a step."""

_numbers: Decoder[Any] = Decoder(float_hook=Decimal)


class ContractDetails(Struct, frozen=True, kw_only=True):
    """One entry of the file.

    Attributes:
        contract: As described; what the entry leaves out is that of a generic contract.
        has_tick: Whether the entry states the tick size.
    """

    contract: Instrument
    has_tick: bool

    def with_tick(self, tick_size: Decimal) -> Instrument:
        """The contract; with this tick size (quote per base, > 0) where the entry states none."""
        return self.contract if self.has_tick else replace(self.contract, tick_size=tick_size)


def read(path: Path) -> dict[str, ContractDetails]:
    """The contracts that a JSON file describes, by symbol.

    The file holds a list of objects (or the body of MEXC's ``/api/v1/contract/detail``). An object
    has the fields of ``Instrument``; only ``symbol`` is mandatory, the others default to those of a
    generic contract, the lot to one contract where ``contract_size`` is given. An object with
    ``contractSize`` is read as MEXC's detail.

    Raises:
        DataError: The file cannot be read, an entry has a wrong field, or a lot is not a whole
            number of contracts.
    """
    try:
        content = _numbers.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(path, None, f"it cannot be read ({error})", "give a JSON file") from error
    if isinstance(content, dict):
        content = content.get("data", [content])
    entries = content if isinstance(content, list) else [content]
    found = [_details(path, entry) for entry in entries]
    return {details.contract.symbol: details for details in found}


def _details(path: Path, entry: Any) -> ContractDetails:
    if not isinstance(entry, dict) or not isinstance(entry.get("symbol"), str):
        raise DataError(
            path, None, f"{str(entry)[:80]!r} has no symbol", "give objects with at least a symbol"
        )
    try:
        if "contractSize" in entry:
            return ContractDetails(contract=decode_contract(entry), has_tick=True)
        generic = generic_instrument(
            split_symbol(entry["symbol"]),
            FALLBACK_TICK,
            inverse=entry.get("inverse") is True,
            contract_size=Decimal(str(entry["contract_size"]))
            if "contract_size" in entry
            else None,
        )
        known = msgspec.to_builtins(generic) | {"generic": False}
        unknown = sorted(entry.keys() - known.keys())
        if unknown:
            raise DataError(
                path, None, f"unknown field(s) {', '.join(unknown)}", f"use {', '.join(known)}"
            )
        given = {name: value for name, value in entry.items() if name != "symbol"}
        contract = msgspec.convert(known | _as_text(given), Instrument, strict=False)
        _require_positive(contract)
    except (msgspec.ValidationError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise DataError(
            path, None, f"{entry['symbol']} is not usable ({error})", "correct the entry"
        ) from error
    if "contract_size" in entry and contract.lot_size % contract.contract_size:
        raise DataError(
            path,
            None,
            f"{contract.symbol}: lot_size {contract.lot_size:f} is not a whole number of contracts"
            f" of {contract.contract_size:f}",
            "leave lot_size out, or give a multiple of contract_size",
        )
    return ContractDetails(contract=contract, has_tick="tick_size" in entry)


def _require_positive(contract: Instrument) -> None:
    """Raise ``ValueError`` where a size could not be divided by."""
    for name in ("contract_size", "tick_size", "lot_size"):
        if not getattr(contract, name) > 0:
            raise ValueError(f"{name} {getattr(contract, name)} is not above 0")


def _as_text(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers as text, because decimals are converted from text exactly."""
    return {
        name: str(value)
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        else value
        for name, value in fields.items()
    }
