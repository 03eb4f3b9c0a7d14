"""The state of a feed after a restart: the trades that its own journal still holds."""

from collections.abc import Collection, Sequence
from typing import Final

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.symbols.minute_history import HISTORY_SOURCE
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.trade_sequence import TradeSequence
from services.kernel.events import MarketData, MarketDataKind, Side
from services.kernel.instruments.contracts import Instrument
from services.kernel.units import Price, Quantity
from services.venues.mexc.exact import plain
from services.venues.mexc.messages import Trade

QUIET_MARGIN_MS: Final = 5_000
"""A symbol without a live trade in the journal had none until this long after its start."""


class RestartState:
    """The past of one run.

    Args:
        past: Market data as published, oldest first.
        uncertain_symbols: Symbols whose ``DATA_GAP`` is open on the record.
    """

    def __init__(self, past: Sequence[MarketData], uncertain_symbols: Sequence[str]) -> None:
        self._ticks: dict[str, list[MarketData]] = {}
        self._open = set(uncertain_symbols)
        for tick in past:
            self._ticks.setdefault(tick.symbol, []).append(tick)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that were subscribed."""
        return tuple(sorted(set(self._ticks) | self._open))

    def begin(self, alerts: AlertPublisher) -> None:
        """Open a gap for every symbol that was subscribed, until it is filled."""
        for symbol in self.symbols:
            alerts.gap_began(symbol, "cdb_ws was restarted")

    def clear_others(self, on: Collection[str], alerts: AlertPublisher) -> None:
        """Close the gaps of symbols that are no longer subscribed."""
        for symbol in sorted((set(self._ticks) | self._open) - set(on)):
            alerts.gap_cleared(symbol, None, "no longer subscribed")
            self._ticks.pop(symbol, None)
            self._open.discard(symbol)

    def feed(self, symbol: str, contract: Instrument) -> SymbolFeed | None:
        """The symbol with its earlier trades, returned once; None for a symbol without a past."""
        found = self._ticks.pop(symbol, None)
        if not found:
            return None
        trade_ticks = [
            tick
            for tick in found
            if tick.kind is MarketDataKind.TRADE and tick.source != HISTORY_SOURCE
        ]
        live = [_venue_time(tick) for tick in trade_ticks if not tick.backfill]
        # A live trade of the same millisecond may have come before the oldest that is left.
        since = live[0] + 1 if live else _venue_time(found[0]) + QUIET_MARGIN_MS
        trades = [_trade(tick, contract) for tick in trade_ticks]
        feed = SymbolFeed(contract, TradeSequence())
        known = [trade for trade in trades if trade is not None]
        feed.restore(known, since, uncertain=symbol in self._open)
        return feed


def _venue_time(tick: MarketData) -> int:
    """REST has no other time of a trade, so a copy is recognised by this one."""
    return tick.timestamp if tick.venue_time is None else tick.venue_time


def _trade(tick: MarketData, contract: Instrument) -> Trade | None:
    if tick.price is None or tick.volume is None:
        return None
    return Trade(
        tick.price,
        plain(contract.volume_in_contracts(Quantity(tick.volume), Price(tick.price))),
        tick.side or Side.BUY,
        _venue_time(tick),
        int(tick.trade_id) if tick.trade_id and tick.trade_id.isdigit() else None,
    )
