"""Running streams that are not trusted until REST confirms them.

A stream becomes uncertain in two ways. A frame was lost, or pending trades were given up: the place
of the gap is known. Or it missed trades without a sign, as REST or the volume of a minute shows:
then a filled gap proves nothing, and only a later comparison does.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import OVERTAKEN_MS, Entry, Recovery
from services.venues.mexc.messages import Trade
from services.venues.mexc.rest import MOST_TRADES

QUIET_S: Final = 10.0
"""Nothing more may be found for this long before a stream is trusted again."""

WITHOUT_PROOF_S: Final = 60.0
"""A stream is trusted again after this time if REST does not answer or has no trade to compare."""

MOST_NAMED: Final = 1_000
"""Maximum number of lost spans kept per symbol."""


class UncertainStream(Struct):
    """One uncertain stream.

    Attributes:
        feed: The symbol.
        seen_at: When something was found last, seconds of the loop's clock.
        missed_trades: Whether it missed trades without a sign.
        until_ms: Time of the newest trade known then; only younger trades prove anything.
        agreed: Whether a later REST answer confirmed the stream.
    """

    feed: SymbolFeed
    seen_at: float
    missed_trades: bool = False
    until_ms: int = -1
    agreed: bool = False


class UncertainStreams:
    """The uncertain streams, by symbol."""

    def __init__(self) -> None:
        self._open: dict[str, UncertainStream] = {}
        self._named: dict[str, deque[Span]] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._open

    def __len__(self) -> int:
        return len(self._open)

    def frame_lost(self, feed: SymbolFeed, now: float) -> None:
        """A stream has a gap at a known place; ``now`` is the loop's clock, as all times here."""
        stream = self._open.setdefault(feed.symbol, UncertainStream(feed, now))
        stream.seen_at, stream.agreed = now, False

    def missed_trades(self, feed: SymbolFeed, now: float, until_ms: int) -> None:
        """A stream missed trades; ``until_ms`` is the time of the newest known trade."""
        self._open[feed.symbol] = UncertainStream(feed, now, True, until_ms)

    def frame_lost_since(self, symbol: str, asked_at: float) -> bool:
        """Whether something was found after REST was asked."""
        return symbol in self._open and self._open[symbol].seen_at > asked_at

    def compared(self, feed: SymbolFeed, asked_at: float, newest_ms: int) -> None:
        """REST was asked, and had no trade that the stream should have brought by now.

        Args:
            feed: The symbol.
            asked_at: When REST was asked.
            newest_ms: Time of the newest trade in the answer.
        """
        stream = self._open.get(feed.symbol)
        if stream is None:
            return
        if feed.sequence.behind_ms > OVERTAKEN_MS:  # more may be missing than is on its way
            stream.agreed = False
        elif not stream.missed_trades:
            stream.agreed = asked_at >= stream.seen_at
        elif newest_ms > stream.until_ms:
            quiet = asked_at >= stream.seen_at + QUIET_S
            stream.agreed = quiet and feed.sequence.last_trade_received_ms > stream.until_ms
        else:  # no trade since
            stream.agreed = asked_at >= stream.seen_at + WITHOUT_PROOF_S

    def over(self, now: float) -> list[SymbolFeed]:
        """The symbols whose streams are trusted again; each is returned once."""
        found = [stream.feed for stream in self._open.values() if _is_over(stream, now)]
        for feed in found:
            del self._open[feed.symbol]
        return found

    def forget(self, symbol: str) -> None:
        """A symbol was unsubscribed."""
        self._open.pop(symbol, None)
        self._named.pop(symbol, None)

    def name(self, symbol: str, spans: Iterable[Span]) -> None:
        """Keep spans that were given up: their trades are no new finding when REST has them."""
        self._named.setdefault(symbol, deque(maxlen=MOST_NAMED)).extend(spans)

    def finds(self, symbol: str, entries: Iterable[Entry], rows: Sequence[Trade]) -> bool:
        """Whether any of some trades from REST lies outside the spans that were given up.

        Args:
            symbol: The symbol.
            entries: Trades that the stream did not bring.
            rows: The REST answer that contains them, oldest first.
        """
        return any(not self.is_named(symbol, e.trade.timestamp, rows[0].timestamp) for e in entries)

    def is_named(self, symbol: str, timestamp: int, oldest_ms: int) -> bool:
        """Whether a trade lies in a span that was given up.

        Args:
            symbol: The symbol.
            timestamp: Time of the trade.
            oldest_ms: Start of the REST window; earlier spans are dropped.
        """
        spans = self._named.get(symbol)
        if not spans:
            return False
        while spans and spans[0].lost_to < oldest_ms:
            spans.popleft()
        return any(span.lost_from <= timestamp <= span.lost_to for span in spans)


def _is_over(stream: UncertainStream, now: float) -> bool:
    if stream.agreed:
        return now >= stream.seen_at + QUIET_S
    return not stream.missed_trades and now >= stream.seen_at + WITHOUT_PROOF_S


def with_missed_trades(start: int, rows: Sequence[Trade], recovery: Recovery) -> Recovery:
    """Add the span between the last comparison and this window: trades in it may be missing."""
    end = rows[0].timestamp
    if not 0 <= start < end or len(rows) < MOST_TRADES:
        return recovery
    others = (span for span in recovery.lost if span.lost_to > end)
    return replace(recovery, lost=(Span(start, end), *others))
