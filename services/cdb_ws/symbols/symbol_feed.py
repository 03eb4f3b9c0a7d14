"""One symbol as the engine sees it: its contract, its trades, its socket, what was heard when."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.cdb_ws.connections.socket import Socket
from services.cdb_ws.trades.minute_volumes import MinuteSums
from services.cdb_ws.trades.trade_sequence import Entry, TradeSequence
from services.kernel.instruments.contracts import Instrument
from services.venues.mexc.commands import CHANNELS, DEPTH_CHANNEL
from services.venues.mexc.messages import Trade

SPEAKS_ALWAYS: Final = (DEPTH_CHANNEL, "fair.price")
"""Channels that speak also when nobody trades."""

ASK_AGAIN_S: Final = 20.0
MOST_TRIES: Final = 3
SILENT_S: Final = 30.0
"""A symbol none of whose channels spoke for so long is in doubt."""

REPORT_AFTER_S: Final = ASK_AGAIN_S * MOST_TRIES + 5.0

LEAST_PAUSE_S: Final = 2.5
"""A pause of all channels that is no trouble; a quieter symbol's own pauses are learned."""

PAUSE_MARGIN: Final = 1.5

CHANNEL_SILENT_S: Final = 60.0
"""A channel that always speaks and did not for so long is subscribed again."""


class Channel(Struct):
    """One subscription on the present connection.

    Attributes:
        asked_at: When its command was handed to the socket, seconds of the loop's clock.
        data_at: When its last data came; None before the first.
        tries: How often it was asked for since data came last.
    """

    asked_at: float = 0.0
    data_at: float | None = None
    tries: int = 0


class SymbolFeed:
    """The state of one symbol.

    Args:
        contract: Its details.
        sequence: Its trades.

    Attributes:
        socket: Where it is subscribed; None before it is.
        channels: By name.
        spoken: Whether anything has come of it on the present connection.
        ever: Whether anything has ever come of it.
        traded: Whether a trade of it was ever published.
        minutes: The volume of its minutes.
        book_version: Of the last book on the present connection.
        crossed: Crossed books since a good one.
        old_books: Books with an old version since a good one.
        acknowledged: Whether the venue has said that it took the subscription of trades.
        silent: Whether it was reported as silent.
        dropped: Whether it is no longer listened to; answers that are still in flight are void.
        waiting_since: Since when it is subscribed without a word, over all connections; None while
            it speaks. Seconds of the loop's clock, as all times here.
        placed_at: When it was given its socket.
        spoke_at: When anything came last.
        uptime_at: The same on the clock of ``LoopUptime``.
        longest_pause_s: So long it may pause without being suspected of having lost trades.
        suspected_s: The pause that is being looked into; 0 without one.
        audit_at: When its trades are to be compared with REST's next.
    """

    def __init__(self, contract: Instrument, sequence: TradeSequence) -> None:
        self.contract = contract
        self.symbol = contract.symbol
        self.sequence = sequence
        self.socket: Socket | None = None
        self.channels = {name: Channel() for name in CHANNELS}
        self.spoken = False
        self.ever = False
        self.traded = False
        self.minutes = MinuteSums()
        self.book_version = 0
        self.crossed = 0
        self.old_books = 0
        self.acknowledged = False
        self.silent = False
        self.dropped = False
        self.waiting_since: float | None = None
        self.placed_at = 0.0
        self.spoke_at = 0.0
        self.uptime_at = 0.0
        self.longest_pause_s = LEAST_PAUSE_S
        self.suspected_s = 0.0
        self.audit_at = 0.0

    def restore(self, past: Sequence[Trade], since_ms: int, *, uncertain: bool) -> None:
        """Begin where an earlier process ended.

        Args:
            past: Trades that were published already, in the order of publishing.
            since_ms: All published trades that are not older than this are among ``past``.
            uncertain: Whether its gap was open then.
        """
        self.ever = self.traded = True
        self.sequence.restore(past, since_ms, uncertain=uncertain)
        self.minutes.whole_since(since_ms)
        for trade in past:
            self.minutes.add(trade.timestamp, trade.contracts)

    def comes_back(self) -> None:
        """It was dropped and is listened to again: what it missed meanwhile is to be filled."""
        self.ever = self.traded = True
        self.sequence.lose()

    def connected(self, now: float) -> None:
        """Its subscriptions are about to be sent on a new connection."""
        self.spoken = self.acknowledged = False
        self.book_version = self.crossed = self.old_books = 0
        self.suspected_s = 0.0
        if self.waiting_since is None:
            self.waiting_since = now
        for channel in self.channels.values():
            channel.asked_at, channel.data_at, channel.tries = now, None, 1

    def published(self, entries: Sequence[Entry]) -> None:
        """Trades of it were published."""
        for entry in entries:
            self.traded = True
            self.minutes.add(entry.trade.timestamp, entry.trade.contracts)

    def paused(self, uptime: float) -> bool:
        """Whether data comes after a pause of all channels that is not usual for the symbol.

        Args:
            uptime: The time of ``LoopUptime``.
        """
        pause = uptime - self.uptime_at
        if pause <= self.longest_pause_s:
            return False
        self.suspected_s = pause
        return True

    def pause_was_harmless(self) -> None:
        """Nothing was missing: such a pause is usual."""
        longest = max(self.longest_pause_s, self.suspected_s * PAUSE_MARGIN)
        self.longest_pause_s = min(longest, SILENT_S)
        self.suspected_s = 0.0

    def data_received(self, name: str, now: float, uptime: float) -> None:
        """Data of a channel came.

        Args:
            name: Of the channel.
            now: The loop's clock.
            uptime: The time of ``LoopUptime``.
        """
        channel = self.channels.get(name)
        if channel is not None:
            channel.data_at, channel.tries = now, 0
        self.spoke_at = now
        self.uptime_at = uptime
        self.waiting_since = None

    def due(self, now: float, idle_since: float) -> list[str]:
        """The channels that must be asked for again.

        Args:
            now: The loop's clock.
            idle_since: When the socket had sent its last command.
        """
        found: list[str] = []
        for name, channel in self.channels.items():
            asked = max(channel.asked_at, min(idle_since, now))
            if channel.data_at is None:
                if now - asked >= ASK_AGAIN_S and channel.tries < MOST_TRIES:
                    found.append(name)
            elif name in SPEAKS_ALWAYS:
                quiet = now - max(channel.data_at, asked)
                if quiet >= CHANNEL_SILENT_S:
                    found.append(name)
        return found

    def asked(self, name: str, now: float) -> None:
        """A channel was asked for again."""
        channel = self.channels[name]
        channel.asked_at = now
        channel.tries += 1

    def fell_silent(self, now: float) -> bool:
        """Whether it spoke on this connection, and nothing at all has come for too long."""
        return self.spoken and now - self.spoke_at > SILENT_S

    def never_speaks(self, now: float) -> bool:
        """Whether everything was asked for in vain."""
        return self.waiting_since is not None and now - self.waiting_since > REPORT_AFTER_S

    def ages(self, now: float) -> dict[str, float]:
        """Seconds since each channel's last data; missing where none came."""
        return {
            name: now - channel.data_at
            for name, channel in self.channels.items()
            if channel.data_at is not None
        }
