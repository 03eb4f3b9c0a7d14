"""The state of one subscribed symbol: contract, trades, socket, and when data arrived."""

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
"""Channels that send data even when there is no trade."""

ASK_AGAIN_S: Final = 20.0
MOST_TRIES: Final = 3
SILENT_S: Final = 30.0
"""A symbol is uncertain when none of its channels has sent data for this long."""

REPORT_AFTER_S: Final = ASK_AGAIN_S * MOST_TRIES + 5.0

LEAST_PAUSE_S: Final = 2.5
"""A pause of all channels up to this length is normal; longer ones are learned per symbol."""

PAUSE_MARGIN: Final = 1.5

CHANNEL_SILENT_S: Final = 60.0
"""A channel of ``SPEAKS_ALWAYS`` without data for this long is subscribed again."""


class Channel(Struct):
    """One subscription on the current connection.

    Attributes:
        asked_at: When its command was given to the socket, seconds of the loop's clock.
        data_at: When its last data arrived; None before the first.
        tries: Subscription attempts since the last data.
    """

    asked_at: float = 0.0
    data_at: float | None = None
    tries: int = 0


class SymbolFeed:
    """The state of one symbol.

    Args:
        contract: Contract details.
        sequence: The symbol's trades.

    Attributes:
        socket: The socket of its subscriptions; None before it has one.
        channels: By name.
        spoken: Whether any data has arrived on the current connection.
        ever: Whether any data has ever arrived.
        traded: Whether a trade was ever published.
        minutes: Published volume by minute.
        book_version: Version of the last book on the current connection.
        crossed: Crossed books since the last valid one.
        old_books: Books with an old version since the last valid one.
        acknowledged: Whether the venue has confirmed the subscription of trades.
        silent: Whether the symbol was reported as silent.
        dropped: Whether it was unsubscribed; answers still in flight are ignored.
        waiting_since: Since when it is subscribed without data, over all connections; None while
            data
        arrives. Seconds of the loop's clock, as all times here.
        placed_at: When it was given its socket.
        spoke_at: When the last data arrived.
        uptime_at: The same in seconds of ``LoopUptime``.
        longest_pause_s: A pause up to this length raises no suspicion of missed trades.
        suspected_s: The pause under suspicion; 0 without one.
        audit_at: When its trades are compared with REST next.
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
        """Continue where an earlier process stopped.

        Args:
            past: Trades that were published before, in the order of publishing.
            since_ms: ``past`` contains every published trade that is not older than this.
            uncertain: Whether its gap was open then.
        """
        self.ever = self.traded = True
        self.sequence.restore(past, since_ms, uncertain=uncertain)
        self.minutes.whole_since(since_ms)
        for trade in past:
            self.minutes.add(trade.timestamp, trade.contracts)

    def comes_back(self) -> None:
        """Subscribed again after it was dropped: the time between has to be filled."""
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
        """Trades of the symbol were published."""
        for entry in entries:
            self.traded = True
            self.minutes.add(entry.trade.timestamp, entry.trade.contracts)

    def paused(self, uptime: float) -> bool:
        """Whether this data ends a pause that is unusual for the symbol.

        Args:
            uptime: Seconds of ``LoopUptime``.
        """
        pause = uptime - self.uptime_at
        if pause <= self.longest_pause_s:
            return False
        self.suspected_s = pause
        return True

    def pause_was_harmless(self) -> None:
        """No trade was missed in the pause: pauses of this length are normal."""
        longest = max(self.longest_pause_s, self.suspected_s * PAUSE_MARGIN)
        self.longest_pause_s = min(longest, SILENT_S)
        self.suspected_s = 0.0

    def data_received(self, name: str, now: float, uptime: float) -> None:
        """Data of a channel arrived.

        Args:
            name: The channel.
            now: The loop's clock.
            uptime: Seconds of ``LoopUptime``.
        """
        channel = self.channels.get(name)
        if channel is not None:
            channel.data_at, channel.tries = now, 0
        self.spoke_at = now
        self.uptime_at = uptime
        self.waiting_since = None

    def due(self, now: float, idle_since: float) -> list[str]:
        """The channels to subscribe again.

        Args:
            now: The loop's clock.
            idle_since: When the socket sent its last command.
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
        """A channel was subscribed again."""
        channel = self.channels[name]
        channel.asked_at = now
        channel.tries += 1

    def fell_silent(self, now: float) -> bool:
        """Whether data has arrived on this connection, but not for too long."""
        return self.spoken and now - self.spoke_at > SILENT_S

    def never_speaks(self, now: float) -> bool:
        """Whether repeated subscriptions brought no data."""
        return self.waiting_since is not None and now - self.waiting_since > REPORT_AFTER_S

    def ages(self, now: float) -> dict[str, float]:
        """Seconds since the last data of each channel; channels without data are missing."""
        return {
            name: now - channel.data_at
            for name, channel in self.channels.items()
            if channel.data_at is not None
        }
