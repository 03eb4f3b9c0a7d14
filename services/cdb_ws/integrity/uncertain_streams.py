"""Symbols whose running stream cannot be trusted: in doubt until REST shows it whole again.

A stream is torn where a frame could not be read, or what was held had to be given up: where, is
known. It leaks where REST, or a minute's volume, tells of trades that it left out without a sign: a
filled hole proves nothing then, only a later comparison does.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import OVERTAKEN_MS, Recovery
from services.venues.mexc.messages import Trade
from services.venues.mexc.rest import MOST_TRADES

QUIET_S: Final = 10.0
"""So long nothing more may be found before the doubt is over."""

WITHOUT_PROOF_S: Final = 60.0
"""Seconds after which a stream that lost a frame is trusted again without an answer of REST."""

MOST_NAMED: Final = 1_000
"""Lost spans of a symbol that are remembered."""


class UncertainStream(Struct):
    """One symbol's.

    Attributes:
        feed: The symbol.
        seen_at: When something was found last, seconds of the loop's clock.
        missed_trades: Whether trades were left out without a sign.
        until_ms: Time of the newest trade that was known then; only younger ones prove anything.
        agreed: Whether REST was asked since, and showed the stream whole.
    """

    feed: SymbolFeed
    seen_at: float
    missed_trades: bool = False
    until_ms: int = -1
    agreed: bool = False


class UncertainStreams:
    """The doubts about running streams, by symbol."""

    def __init__(self) -> None:
        self._open: dict[str, UncertainStream] = {}
        self._named: dict[str, deque[Span]] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._open

    def __len__(self) -> int:
        return len(self._open)

    def frame_lost(self, feed: SymbolFeed, now: float) -> None:
        """A stream has a hole whose place is known; ``now`` is the loop's clock, as all times."""
        stream = self._open.setdefault(feed.symbol, UncertainStream(feed, now))
        stream.seen_at, stream.agreed = now, False

    def missed_trades(self, feed: SymbolFeed, now: float, until_ms: int) -> None:
        """A stream has left trades out; ``until_ms`` is the time of the newest that is known."""
        self._open[feed.symbol] = UncertainStream(feed, now, True, until_ms)

    def frame_lost_since(self, symbol: str, asked_at: float) -> bool:
        """Whether something was found after REST was asked."""
        return symbol in self._open and self._open[symbol].seen_at > asked_at

    def compared(self, feed: SymbolFeed, asked_at: float, newest_ms: int) -> None:
        """REST was asked, and told of no trade that the stream should have brought by now.

        Args:
            feed: The symbol.
            asked_at: When REST was asked.
            newest_ms: Time of the newest trade that REST told.
        """
        stream = self._open.get(feed.symbol)
        if stream is None:
            return
        if feed.sequence.behind_ms > OVERTAKEN_MS:  # there may be more than what is on its way
            stream.agreed = False
        elif not stream.missed_trades:
            stream.agreed = asked_at >= stream.seen_at
        elif newest_ms > stream.until_ms:
            quiet = asked_at >= stream.seen_at + QUIET_S
            stream.agreed = quiet and feed.sequence.last_trade_received_ms > stream.until_ms
        else:  # nobody has traded since
            stream.agreed = asked_at >= stream.seen_at + WITHOUT_PROOF_S

    def over(self, now: float) -> list[SymbolFeed]:
        """The symbols that are doubted no longer; each is told once."""
        found = [stream.feed for stream in self._open.values() if _is_over(stream, now)]
        for feed in found:
            del self._open[feed.symbol]
        return found

    def forget(self, symbol: str) -> None:
        """A symbol is no longer listened to."""
        self._open.pop(symbol, None)
        self._named.pop(symbol, None)

    def name(self, symbol: str, spans: Iterable[Span]) -> None:
        """What was given up: its trades are no proof of a leak when REST tells them later."""
        self._named.setdefault(symbol, deque(maxlen=MOST_NAMED)).extend(spans)

    def is_named(self, symbol: str, timestamp: int, oldest_ms: int) -> bool:
        """Whether a trade lies in what was given up.

        Args:
            symbol: Which one.
            timestamp: Of the trade.
            oldest_ms: REST tells of nothing older; such spans are forgotten.
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
    """Of a stream that leaks, what lies between the last comparison and this may be missing."""
    end = rows[0].timestamp
    if not 0 <= start < end or len(rows) < MOST_TRADES:
        return recovery
    others = (span for span in recovery.lost if span.lost_to > end)
    return replace(recovery, lost=(Span(start, end), *others))
