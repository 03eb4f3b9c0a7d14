"""A market with socket and REST for tests of the trade sequence."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import Entry, Origin, Recovery, TradeSequence
from services.kernel.events import Side
from services.venues.mexc.messages import Trade

BEGINNING = 1_790_000_000_000


def trade(
    trade_id: int | None,
    t: int,
    *,
    price: int = 100,
    contracts: int = 1,
    side: Side = Side.BUY,
) -> Trade:
    """A trade ``t`` milliseconds after the test's beginning."""
    return Trade(Decimal(price), Decimal(contracts), side, BEGINNING + t, trade_id)


def row(made: Trade) -> Trade:
    """What REST has of a trade: everything but the id."""
    return replace(made, trade_id=None)


def times(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Spans as milliseconds after the test's beginning."""
    return [(span.lost_from - BEGINNING, span.lost_to - BEGINNING) for span in spans]


class Market:
    """Makes trades, brings them to a trade sequence or does not, and keeps what the sequence gives.

    Args:
        limit: How many rows a REST window has.
        since_ms: The sequence's beginning.
    """

    def __init__(self, limit: int = 100, since_ms: int | None = None) -> None:
        self.made: list[Trade] = []
        self.limit = limit
        self.now_ms = BEGINNING
        self.sequence = TradeSequence(since_ms, limit)
        self.out: list[Entry] = []
        self.lost: list[Span] = []
        self.loose: list[Span] = []

    def make(
        self,
        t: int,
        *,
        price: int = 100,
        contracts: int = 1,
        side: Side = Side.BUY,
    ) -> Trade:
        """One more trade, with the next id."""
        made = trade(len(self.made) + 1, t, price=price, contracts=contracts, side=side)
        self.made.append(made)
        self.now_ms = max(self.now_ms, made.timestamp)
        return made

    def push(self, *trades: Trade) -> list[Entry]:
        """The socket brings trades in one frame."""
        found = self.sequence.live(
            sorted(trades, key=lambda d: (d.timestamp, d.trade_id or 0)), self.now_ms
        )
        self.out += found
        return found

    def window(self, *, ahead: int = 0) -> list[Trade]:
        """What REST reports now, or reported when the last ``ahead`` trades had not been made."""
        until = len(self.made) - ahead
        return [row(made) for made in self.made[max(0, until - self.limit) : until]]

    def take(self, recovery: Recovery) -> Recovery:
        """Keep what a recovery gave; its spans must be as tight as what was published allows."""
        self.out += recovery.entries
        self.lost += recovery.lost
        published = {entry.trade.timestamp for entry in self.out}
        for span in recovery.lost:
            loose = any(span.lost_from < at < span.lost_to for at in published)
            if loose or not {span.lost_from, span.lost_to} <= published:
                self.loose.append(span)
        return recovery

    def recover(self, *, ahead: int = 0) -> Recovery:
        """REST answers."""
        return self.take(self.sequence.recovered(self.window(ahead=ahead), self.now_ms))

    def audit(self, *, after_ms: int = 0, ahead: int = 0) -> Recovery:
        """REST is compared with the living stream."""
        self.now_ms += after_ms
        return self.take(self.sequence.audit(self.window(ahead=ahead), self.now_ms))

    def ids(self) -> list[int | None]:
        """The published trades' ids; None for those by REST."""
        return [entry.trade.trade_id for entry in self.out]

    def breaches(self) -> list[str]:
        """How the promise was broken; empty when it was held.

        Every trade made since the first that was published is published once, or lies in a lost
        span; nothing is published that was not made; live trades never go back.
        """
        if not self.out:
            return []
        published = Counter(row(entry.trade) for entry in self.out)
        made = Counter(row(one) for one in self.made)
        begin = min(entry.trade.timestamp for entry in self.out)
        found = [f"doubled {one}" for one, count in published.items() if count > made[one]]
        known = [entry.trade.trade_id for entry in self.out if entry.trade.trade_id is not None]
        if len(set(known)) < len(known):
            found.append("an id twice")
        for one, count in made.items():
            at = one.timestamp
            in_span = any(span.lost_from <= at <= span.lost_to for span in self.lost)
            if at > begin and published[one] < count and not in_span:
                found.append(f"missing {count - published[one]} of {one}")
        live = [
            (entry.trade.timestamp, entry.trade.trade_id or 0)
            for entry in self.out
            if entry.origin is Origin.LIVE
        ]
        if live != sorted(live):
            found.append("a live trade went back")
        found += [f"loose bounds {times([span])}" for span in self.loose]
        return found


def origins(market: Market) -> list[Origin]:
    """How the published trades came."""
    return [entry.origin for entry in market.out]
