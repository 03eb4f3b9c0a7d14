"""Contract details: from the venue, else from what was kept on disk, else as shipped."""

import os
import tempfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from services.kernel.instruments.contracts import Instrument
from services.runtime.service import logging
from services.venues.mexc import rest_messages
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

SHIPPED: Final = Path(__file__).with_name("contracts.json")
CACHE_NAME: Final = "mexc-contracts.json"
DAY_MS: Final = 24 * 3_600_000

_log = logging.get(__name__)


class Origin(StrEnum):
    """Where contract details are from."""

    VENUE = "venue"
    CACHED = "cached"
    SHIPPED = "shipped"


class ContractBook:
    """All contracts that can be traded, as far as known.

    Args:
        rest: Asks the venue.
        cache: Folder in which the venue's answer is kept; None keeps nothing.

    Attributes:
        contracts: By symbol.
        origin: Where they are from.
        as_of_ms: When the venue said so, Unix milliseconds; 0 for the shipped ones.
        problem: Why they are not the venue's own, or could not be kept; None when all is well.
        unreadable: Symbols whose details could not be read.
    """

    def __init__(self, rest: MexcRest, cache: Path | None) -> None:
        self.contracts: dict[str, Instrument] = {}
        self.origin: Origin | None = None
        self.as_of_ms = 0
        self.problem: str | None = None
        self.unreadable: tuple[str, ...] = ()
        self._rest = rest
        self._file = cache / CACHE_NAME if cache else None

    async def refresh(self, now_ms: int) -> None:
        """Ask the venue; what is known stays where it does not answer.

        Args:
            now_ms: Wall time.
        """
        try:
            body = await self._rest.details()
        except (VenueAwayError, RestError) as away:
            self.problem = str(away)
            if not self.contracts:
                self._fall_back()
            return
        self.problem = None
        self._take(body, Origin.VENUE, now_ms)
        self._keep(body, now_ms)

    def take(self, detail: Mapping[str, Any]) -> str:
        """Use the details of one contract that the venue has pushed.

        The rules are those of ``refresh``: a contract that cannot be traded any more is removed.

        Returns:
            The contract's symbol.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: A mandatory field is missing or
                unusable; nothing has changed.
        """
        symbol = str(detail["symbol"])
        if rest_messages.is_tradable(detail):
            self.contracts[symbol] = self._with_known_interval(
                rest_messages.decode_contract(detail)
            )
        else:
            self.contracts.pop(symbol, None)
        return symbol

    def age_ms(self, now_ms: int) -> int | None:
        """How old the details are; None for the shipped ones, which have no age."""
        return now_ms - self.as_of_ms if self.as_of_ms else None

    def status(self, now_ms: int) -> dict[str, object]:
        """Where the details are from and how old they are."""
        return {
            "known": len(self.contracts),
            "origin": self.origin,
            "age_ms": self.age_ms(now_ms),
            "problem": self.problem,
            "unreadable": list(self.unreadable),
        }

    def _take(self, body: bytes, origin: Origin, as_of_ms: int) -> None:
        contracts, self.unreadable = rest_messages.decode_details(body)
        self.contracts = {
            symbol: self._with_known_interval(contract) for symbol, contract in contracts.items()
        }
        self.origin, self.as_of_ms = origin, as_of_ms
        if self.unreadable:
            _log.warning("contracts_unreadable", symbols=list(self.unreadable)[:20])

    def _with_known_interval(self, contract: Instrument) -> Instrument:
        """The details do not contain the funding interval; it is requested separately."""
        known = self.contracts.get(contract.symbol)
        if known is None:
            return contract
        return msgspec.structs.replace(
            contract, funding_interval_hours=known.funding_interval_hours
        )

    def _fall_back(self) -> None:
        if self._file is not None and self._file.is_file():
            try:
                self._take(
                    self._file.read_bytes(), Origin.CACHED, int(self._file.stat().st_mtime * 1000)
                )
            except (OSError, ValueError, ArithmeticError, RestError) as error:
                _log.warning("contract_cache_unusable", file=str(self._file), reason=str(error))
            else:
                return
        self._take(SHIPPED.read_bytes(), Origin.SHIPPED, 0)

    def _keep(self, body: bytes, now_ms: int) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, body, now_ms)
        except OSError as error:
            self.problem = (
                f"contract details cannot be kept in {self._file.parent}: {error.strerror};"
                " set CDB_CACHE_DIR to a folder that can be written"
            )
            _log.warning("contract_cache", reason=self.problem)


def _replace(file: Path, body: bytes, as_of_ms: int) -> None:
    """Whole or not at all: a reader never sees half a file."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as part:
            part.write(body)
            part.flush()
            os.fsync(part.fileno())
        os.utime(name, (as_of_ms / 1000, as_of_ms / 1000))
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
