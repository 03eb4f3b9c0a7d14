"""Contract details for a replay: from ``--instruments FILE``, else generic ones from the data."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from services.cdb_ws.sources.data_error import DataError
from services.cdb_ws.sources.file_names import split_symbol
from services.cdb_ws.sources.mexc.rest_messages import decode_contract
from services.kernel.instruments import Instrument, generic_instrument

DECIMALS_SHARE: Final = Decimal("0.95")
"""The tick has as many decimals as this share of prices need; the rest is float noise."""

FALLBACK_TICK: Final = Decimal("0.01")

_numbers: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


def tick_size(decimals: Counter[int]) -> Decimal:
    """The price step that the data's decimals show.

    Args:
        decimals: How many prices have how many decimals, trailing zeros left out.
    """
    total = decimals.total()
    if not total:
        return FALLBACK_TICK
    seen = 0
    for places in sorted(decimals):
        seen += decimals[places]
        if seen >= DECIMALS_SHARE * total:
            return Decimal(1).scaleb(-places)
    return FALLBACK_TICK


def read(path: Path) -> dict[str, Instrument]:
    """The contracts that a JSON file describes, by symbol.

    The file holds a list of objects (or the body of MEXC's ``/api/v1/contract/detail``). An object
    has the fields of ``Instrument``; only ``symbol`` is mandatory, the others default to those of a
    generic contract. An object with ``contractSize`` is read as MEXC's detail.

    Raises:
        DataError: The file cannot be read, or an entry has a wrong field.
    """
    try:
        content = _numbers.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(path, None, f"it cannot be read ({error})", "give a JSON file") from error
    if isinstance(content, dict):
        content = content.get("data", [content])
    entries = content if isinstance(content, list) else [content]
    contracts = [_contract(path, entry) for entry in entries]
    return {contract.symbol: contract for contract in contracts}


def _contract(path: Path, entry: Any) -> Instrument:
    if not isinstance(entry, dict) or not isinstance(entry.get("symbol"), str):
        raise DataError(
            path, None, f"{str(entry)[:80]!r} has no symbol", "give objects with at least a symbol"
        )
    try:
        if "contractSize" in entry:
            return decode_contract(entry)
        inverse = entry.get("inverse") is True
        symbol = split_symbol(entry["symbol"])
        generic = generic_instrument(symbol, FALLBACK_TICK, inverse=inverse)
        known = msgspec.to_builtins(generic) | {"generic": False}
        unknown = sorted(entry.keys() - known.keys())
        if unknown:
            raise DataError(
                path, None, f"unknown field(s) {', '.join(unknown)}", f"use {', '.join(known)}"
            )
        given = {name: value for name, value in entry.items() if name != "symbol"}
        return msgspec.convert(known | _as_text(given), Instrument, strict=False)
    except (msgspec.ValidationError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise DataError(
            path, None, f"{entry['symbol']} is not usable ({error})", "correct the entry"
        ) from error


def _as_text(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers as text, because decimals are converted from text exactly."""
    return {
        name: str(value)
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        else value
        for name, value in fields.items()
    }
