"""Symbols whose running stream cannot be trusted: in doubt until REST shows it whole again.

A stream is torn where a frame could not be read, or what was held had to be given up: where, is
known. It leaks where REST, or a minute's volume, tells of deals that it left out without a sign: a
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
from services.venues.mexc.messages import Deal
from services.venues.mexc.rest import MOST_DEALS

QUIET_S: Final = 10.0
"""So long nothing more may be found before the doubt is over."""

WITHOUT_PROOF_S: Final = 60.0
"""A torn stream that REST does not speak of, or one of a symbol without any deal, waits so long."""

MOST_NAMED: Final = 1_000
"""Lost spans of a symbol that are remembered."""


class Doubt(Struct):
    """One symbol's.

    Attributes:
        feed: The symbol.
        seen_at: When something was found last, seconds of the loop's clock.
        leaks: Whether deals were left out without a sign.
        until_ms: Time of the newest deal that was known then; only younger ones prove anything.
        agreed: Whether REST was asked since, and showed the stream whole.
    """

    feed: SymbolFeed
    seen_at: float
    leaks: bool = False
    until_ms: int = -1
    agreed: bool = False


class StreamDoubts:
    """The doubts about running streams, by symbol."""

    def __init__(self) -> None:
        self._open: dict[str, Doubt] = {}
        self._named: dict[str, deque[Span]] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._open

    def __len__(self) -> int:
        return len(self._open)

    def torn(self, feed: SymbolFeed, now: float) -> None:
        """A stream has a hole whose place is known; ``now`` is the loop's clock, as all times."""
        doubt = self._open.setdefault(feed.symbol, Doubt(feed, now))
        doubt.seen_at, doubt.agreed = now, False

    def leaks(self, feed: SymbolFeed, now: float, until_ms: int) -> None:
        """A stream has left deals out; ``until_ms`` is the time of the newest that is known."""
        self._open[feed.symbol] = Doubt(feed, now, True, until_ms)

    def torn_since(self, symbol: str, asked_at: float) -> bool:
        """Whether something was found after REST was asked."""
        return symbol in self._open and self._open[symbol].seen_at > asked_at

    def compared(self, feed: SymbolFeed, asked_at: float, newest_ms: int) -> None:
        """REST was asked, and told of no deal that the stream should have brought by now.

        Args:
            feed: The symbol.
            asked_at: When REST was asked.
            newest_ms: Time of the newest deal that REST told.
        """
        doubt = self._open.get(feed.symbol)
        if doubt is None:
            return
        if feed.tape.behind_ms > OVERTAKEN_MS:  # there may be more than what is on its way
            doubt.agreed = False
        elif not doubt.leaks:
            doubt.agreed = asked_at >= doubt.seen_at
        elif newest_ms > doubt.until_ms:
            quiet = asked_at >= doubt.seen_at + QUIET_S
            doubt.agreed = quiet and feed.tape.heard_ms > doubt.until_ms
        else:  # nobody has traded since
            doubt.agreed = asked_at >= doubt.seen_at + WITHOUT_PROOF_S

    def over(self, now: float) -> list[SymbolFeed]:
        """The symbols that are doubted no longer; each is told once."""
        found = [doubt.feed for doubt in self._open.values() if _is_over(doubt, now)]
        for feed in found:
            del self._open[feed.symbol]
        return found

    def forget(self, symbol: str) -> None:
        """A symbol is no longer listened to."""
        self._open.pop(symbol, None)
        self._named.pop(symbol, None)

    def name(self, symbol: str, spans: Iterable[Span]) -> None:
        """What was given up: its deals are no proof of a leak when REST tells them later."""
        self._named.setdefault(symbol, deque(maxlen=MOST_NAMED)).extend(spans)

    def is_named(self, symbol: str, timestamp: int, oldest_ms: int) -> bool:
        """Whether a deal lies in what was given up.

        Args:
            symbol: Which one.
            timestamp: Of the deal.
            oldest_ms: REST tells of nothing older; such spans are forgotten.
        """
        spans = self._named.get(symbol)
        if not spans:
            return False
        while spans and spans[0].lost_to < oldest_ms:
            spans.popleft()
        return any(span.lost_from <= timestamp <= span.lost_to for span in spans)


def _is_over(doubt: Doubt, now: float) -> bool:
    if doubt.agreed:
        return now >= doubt.seen_at + QUIET_S
    return not doubt.leaks and now >= doubt.seen_at + WITHOUT_PROOF_S


def with_leak(start: int, rows: Sequence[Deal], recovery: Recovery) -> Recovery:
    """Of a stream that leaks, what lies between the last comparison and this may be missing."""
    end = rows[0].timestamp
    if not 0 <= start < end or len(rows) < MOST_DEALS:
        return recovery
    others = (span for span in recovery.lost if span.lost_to > end)
    return replace(recovery, lost=(Span(start, end), *others))
