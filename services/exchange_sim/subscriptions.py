"""Who has subscribed what, and the commands by which they do it."""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from services.exchange_sim import frames
from services.exchange_sim.session import Session
from services.kernel.bounded_json import Decoder

MERGED_TRADES: Final = "deal.merged"
"""Trades without ``"compress": false``: those of one price and side are pushed as one."""

ALL: Final = ""
"""The symbol of a channel that has none."""

_PER_SYMBOL: Final = frozenset(
    {"deal", "depth.full", "ticker", "funding.rate", "fair.price", "index.price", "kline"}
)
_WITHOUT_SYMBOL: Final = frozenset({"tickers", "contract"})
_DEPTH_LIMITS: Final = (5, 10, 20, 50)
_INTERVALS: Final = tuple(frames.INTERVAL_SECONDS)
_decoder: Decoder[Any] = Decoder()


class Subscriptions:
    """The subscriptions of all sessions, by channel and symbol."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], list[Session]] = {}
        self.most_on_one = 0

    def of(self, channel: str, symbol: str = ALL) -> list[Session]:
        """Who has subscribed; not to be changed."""
        return self._sessions.get((channel, symbol), _NOBODY)

    def add(self, session: Session, channel: str, symbol: str) -> bool:
        """Subscribe; False if it was already."""
        topic = channel, symbol
        if topic in session.topics:
            return False
        session.topics.add(topic)
        self._sessions.setdefault(topic, []).append(session)
        self.most_on_one = max(self.most_on_one, len(session.topics))
        return True

    def remove(self, session: Session, channel: str, symbol: str) -> None:
        """Unsubscribe."""
        topic = channel, symbol
        if topic in session.topics:
            session.topics.discard(topic)
            self._sessions[topic].remove(session)

    def leave(self, session: Session) -> None:
        """Remove all of a session's subscriptions."""
        for channel, symbol in list(session.topics):
            self.remove(session, channel, symbol)


_NOBODY: Final[list[Session]] = []


class Commands:
    """Obeys the text frames of the clients.

    Args:
        subscriptions: What they change.
        symbols: The contracts there are.
        server_ms: The server's time.
        subscribed: Called with each new subscription: session, channel, symbol.
        now: The loop's time, seconds.

    Attributes:
        unreadable: Commands that are no JSON object.
        unknown: Commands with an unknown method; the venue does not answer them.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        symbols: Collection[str],
        server_ms: Callable[[], int],
        subscribed: Callable[[Session, str, str], None],
        now: Callable[[], float],
    ) -> None:
        self._subscriptions = subscriptions
        self._symbols = symbols
        self._server_ms = server_ms
        self._subscribed = subscribed
        self._now = now
        self.unreadable = 0
        self.unknown = 0

    def obey(self, session: Session, text: str | bytes) -> None:
        """Do what a command says, and answer it."""
        session.commanded()
        try:
            command = _decoder.decode(text)
            method = str(command["method"])
            parameters = command.get("param") or {}
            symbol = str(parameters.get("symbol", ALL))
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            return
        if method == "ping":
            session.last_ping = self._now()
            session.push(frames.pong(self._server_ms()))
            return
        verb, _, channel = method.partition(".")
        if verb not in {"sub", "unsub"} or channel not in _PER_SYMBOL | _WITHOUT_SYMBOL:
            self.unknown += 1
            return
        refusal = self._refusal(channel, symbol, parameters)
        if refusal:
            session.push(frames.error(refusal, self._server_ms()))
            return
        session.push(frames.acknowledgement(method, self._server_ms()))
        self._change(session, verb, channel, symbol, parameters)

    def _refusal(self, channel: str, symbol: Any, parameters: dict[str, Any]) -> str | None:
        if channel in _PER_SYMBOL and symbol not in self._symbols:
            return f"Contract [{symbol}] not exists"
        if channel == "depth.full" and parameters.get("limit", 20) not in _DEPTH_LIMITS:
            return "Not support limit"
        if channel == "kline" and parameters.get("interval", "Min1") not in _INTERVALS:
            return "invalid param"
        return None

    def _change(
        self, session: Session, verb: str, channel: str, symbol: str, parameters: dict[str, Any]
    ) -> None:
        if verb == "unsub":
            for name in _names_of(channel):
                self._subscriptions.remove(session, name, symbol)
            return
        name = channel
        if channel == "deal" and parameters.get("compress", True):
            name = MERGED_TRADES
        elif channel == "kline":
            name = f"kline.{parameters.get('interval', 'Min1')}"
        elif channel == "depth.full":
            name = f"depth.full.{parameters.get('limit', 20)}"
        if self._subscriptions.add(session, name, symbol):
            self._subscribed(session, name, symbol)


def _names_of(channel: str) -> tuple[str, ...]:
    if channel == "deal":
        return ("deal", MERGED_TRADES)
    if channel == "kline":
        return tuple(f"kline.{interval}" for interval in _INTERVALS)
    if channel == "depth.full":
        return tuple(f"depth.full.{limit}" for limit in _DEPTH_LIMITS)
    return (channel,)
