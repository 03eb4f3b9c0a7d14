"""Chooses the symbols to subscribe: those named, or the movers of the day, and open positions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from services.kernel.instruments.contracts import Instrument
from services.runtime.service import logging
from services.venues.mexc.contracts import ContractBook
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

EVERY_S: Final = 3600.0

_log = logging.get(__name__)


class Universe:
    """The symbols of a run.

    A mover is dropped only after it is missing in two consecutive evaluations. A symbol with an
    open position is always subscribed, because its stop needs prices. That alone does not permit
    entries.

    Args:
        rest: REST client.
        book: Contract details; a symbol without a contract is not subscribed.
        named: Requested symbols; empty: the movers.
        top_n: Number of movers.
        known: Symbols of this run that were subscribed before a restart.
        held: Returns the symbols with an open position.

    Attributes:
        rest, book, held: As given.
        chosen: Symbols in which positions may be opened: those named, or the movers.
        symbols: Symbols to subscribe: ``chosen`` and those with an open position.
        unknown: Named symbols without a contract.
        problem: Why the movers are unknown; None if they are known.
    """

    def __init__(
        self,
        rest: MexcRest,
        book: ContractBook,
        named: Sequence[str],
        top_n: int,
        known: Sequence[str],
        held: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.chosen: tuple[str, ...] = ()
        self.symbols: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()
        self.problem: str | None = None
        self.rest = rest
        self.book = book
        self.held = held
        self._named = tuple(named)
        self._top_n = top_n
        self._known = () if named else tuple(known)
        self._out: frozenset[str] = frozenset()

    async def evaluate(self) -> None:
        """Choose the symbols again; without an answer of REST they stay as they are."""
        await self._choose()
        self.symbols = self.chosen
        self.include_held()

    def include_held(self) -> bool:
        """Add symbols with an open position and a contract; returns whether any was missing."""
        missing = [
            name
            for name in sorted(self.held())
            if name in self.book.contracts and name not in self.symbols
        ]
        self.symbols = (*self.symbols, *missing)
        return bool(missing)

    def leave_unlisted(self) -> bool:
        """Remove symbols whose contract is no longer known; returns whether there was any."""
        contracts = self.book.contracts
        before = self.symbols
        self.chosen = tuple(name for name in self.chosen if name in contracts)
        self.symbols = tuple(name for name in self.symbols if name in contracts)
        return self.symbols != before

    def unlisted(self) -> list[str]:
        """Symbols with a position but no contract; empty before the first load. Thread-safe."""
        if self.book.origin is None:
            return []
        return [name for name in sorted(self.held()) if name not in self.book.contracts]

    async def _choose(self) -> None:
        contracts = self.book.contracts
        if self._named:
            self.chosen = tuple(name for name in self._named if name in contracts)
            self.unknown = tuple(name for name in self._named if name not in contracts)
            return
        try:
            listed = [name for name in await self.rest.movers() if name in contracts]
        except (VenueAwayError, RestError) as away:
            self.problem = str(away)
            self.chosen = self._present(contracts)
            return
        self.problem = None
        movers = listed[: self._top_n]
        present = self._present(contracts)
        stays = [
            name
            for name in present
            if name in contracts and name not in movers and name not in self._out
        ]
        self._out = frozenset(stays)
        if dropped := set(present) - {*movers, *stays}:
            _log.info("symbols_dropped", symbols=sorted(dropped))
        self.chosen = (*movers, *stays)

    def _present(self, contracts: Mapping[str, Instrument]) -> tuple[str, ...]:
        """The current movers; after a restart, without the symbols that have a position."""
        if self.chosen:
            return tuple(name for name in self.chosen if name in contracts)
        held = self.held()
        return tuple(name for name in self._known if name in contracts and name not in held)
