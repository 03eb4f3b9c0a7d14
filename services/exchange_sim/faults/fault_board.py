"""Which faults are on at the moment."""

from random import Random

from services.exchange_sim.faults.faults import Fault, FaultKind


class FaultBoard:
    """The faults that last, until they end.

    Args:
        random: Decides where a fault hits only a share.

    Attributes:
        calm: Whether there is none.
        begun: How many have begun so far, by kind, instant ones included.
    """

    def __init__(self, random: Random) -> None:
        self.calm = True
        self.begun: dict[FaultKind, int] = {}
        self._on: list[Fault] = []
        self._random = random

    def begin(self, fault: Fault, *, lasting: bool) -> None:
        """A fault begins."""
        self.begun[fault.kind] = self.begun.get(fault.kind, 0) + 1
        if lasting:
            self._on.append(fault)
            self.calm = False

    def end(self, fault: Fault) -> None:
        """A fault is over; one that was cleared already is no error."""
        self._on = [other for other in self._on if other is not fault]
        self.calm = not self._on

    def clear(self, kind: FaultKind | None = None) -> None:
        """End all faults, or all of a kind."""
        self._on = [other for other in self._on if kind is not None and other.kind is not kind]
        self.calm = not self._on

    def active(self) -> tuple[Fault, ...]:
        """All that are on."""
        return tuple(self._on)

    def on(self, kind: FaultKind, symbol: str | None = None) -> Fault | None:
        """The fault of a kind that is on for a contract, or for all."""
        for fault in self._on:
            if fault.kind is kind and fault.symbol in {None, symbol}:
                return fault
        return None

    def strikes(self, kind: FaultKind, symbol: str | None = None) -> bool:
        """Whether a fault of a kind hits this time."""
        fault = self.on(kind, symbol)
        return fault is not None and self._random.random() < fault.size
