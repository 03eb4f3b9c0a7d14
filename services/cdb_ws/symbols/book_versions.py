"""Accepts order books in the order of their versions, and renews a broken book stream."""

from collections import Counter
from typing import Final, Protocol

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.kernel.events import AlertLevel
from services.venues.mexc.commands import DEPTH_CHANNEL

CROSSED_IN_A_ROW: Final = 5
"""Crossed books of a symbol after which the book is subscribed again."""

OLD_IN_A_ROW: Final = 5
"""Consecutive books with an old version after which the versions are taken to have restarted."""

BOOK_RESTARTED: Final = "BOOK_RESTARTED"


class AskAgain(Protocol):
    """Subscribes a channel of a symbol again."""

    def __call__(self, feed: SymbolFeed, channel: str) -> None:
        """Subscribe ``channel`` of ``feed`` again."""


class BookVersions:
    """Accepts each book once, in the order of the venue's versions.

    Args:
        refused: Counter of refused books.
        alerts: Publishes ``BOOK_RESTARTED``.
        ask_again: Subscribes a channel again.
    """

    def __init__(self, refused: Counter[str], alerts: AlertPublisher, ask_again: AskAgain) -> None:
        self._refused = refused
        self._alerts = alerts
        self._ask_again = ask_again

    def accept(self, feed: SymbolFeed, version: int) -> bool:
        """Whether a book of this version is newer than the last one."""
        if version <= feed.book_version:
            self._refused["old_book"] += 1
            feed.old_books += 1
            if feed.old_books % OLD_IN_A_ROW == 0:
                self._restart(feed)
            return False
        feed.book_version = version
        feed.crossed = 0
        if feed.old_books:
            feed.old_books = 0
            self._alerts.clear(BOOK_RESTARTED, feed.symbol)
        return True

    def crossed(self, feed: SymbolFeed) -> None:
        """A book's best bid is at or above its best ask."""
        feed.crossed += 1
        if feed.crossed % CROSSED_IN_A_ROW == 0:
            self._ask_again(feed, DEPTH_CHANNEL)

    def forget(self, symbol: str) -> None:
        """A symbol was unsubscribed."""
        self._alerts.clear(BOOK_RESTARTED, symbol)

    def _restart(self, feed: SymbolFeed) -> None:
        """The versions restarted without a disconnect: all further books would be refused."""
        message = f"{feed.symbol}: the versions of its order book restarted; subscribed again"
        self._alerts.see(AlertLevel.WARNING, BOOK_RESTARTED, message, feed.symbol)
        feed.book_version = 0
        self._ask_again(feed, DEPTH_CHANNEL)
