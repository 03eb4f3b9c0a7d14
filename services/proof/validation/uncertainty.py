"""Whether risk let an entry pass while trading was not active, judged by what it had seen."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

from services.kernel.events import AnyEvent, Order, RunStarted, TradingState, TradingStateChanged
from services.kernel.risk.trading_state.carried import paused_symbols
from services.proof.validation.findings import Findings, Rule


class _Change(NamedTuple):
    cause: str
    seq: int
    state: TradingState


class UncertaintyCheck:
    """Compares the place of each entry's cause with the places of what stopped trading.

    Risk decides when it handles a signal: what counts is the seq of the signal, and of the events
    that changed the trading state, not those at which either was published.

    Args:
        findings: Where to report.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._changes: dict[str | None, list[_Change]] = {}
        self._entries: list[Order] = []

    def see(self, event: AnyEvent) -> None:
        """Take the next event that is no tick."""
        if isinstance(event, TradingStateChanged):
            change = _Change(event.causation_id or "", event.seq, event.state)
            self._changes.setdefault(event.symbol, []).append(change)
        elif isinstance(event, Order):
            if not event.reduce_only and not event.external:
                self._entries.append(event)
        elif isinstance(event, RunStarted):
            self._on_run(event)

    def finish(self, seq_of: Mapping[str, int]) -> None:
        """All were seen.

        Args:
            seq_of: Place of every event that is a cause.
        """
        places = {
            symbol: sorted((seq_of.get(c.cause, c.seq), i, c) for i, c in enumerate(changes))
            for symbol, changes in self._changes.items()
        }
        for order in self._entries:
            at = seq_of.get(order.causation_id or "", order.seq)
            for symbol in (None, order.symbol):
                known = places.get(symbol, [])
                index = bisect_right(known, at, key=lambda place: place[0])
                if index and known[index - 1][2].state is not TradingState.ACTIVE:
                    state = known[index - 1][2].state
                    message = f"{symbol or 'the account'} was {state} when risk saw its signal"
                    self._findings.add(Rule.NO_ENTRY_IN_DOUBT, order.seq, order.event_id, message)

    def _on_run(self, run: RunStarted) -> None:
        account = run.account
        state = TradingState.ACTIVE
        if account.halted is not None:
            state = TradingState.HALTED
        elif account.paused:
            state = TradingState.PAUSED
        held = {*paused_symbols(account), *account.quarantined}
        for symbol in {None, *self._changes, *held}:
            now = state if symbol is None else TradingState.ACTIVE
            now = TradingState.PAUSED if symbol in held else now
            change = _Change(run.event_id, run.seq, now)
            self._changes.setdefault(symbol, []).append(change)
