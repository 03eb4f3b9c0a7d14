"""Measures the venue's clock and judges the time of every live tick."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.connections.stream_times import WINDOW, StreamTimes
from services.cdb_ws.trades.pending_trades import order_of
from services.kernel.events import Event, MarketData
from services.runtime.intake.event_time import MOST_AHEAD_MS, Verdict
from services.venues.mexc.commands import TRADE_CHANNEL
from services.venues.mexc.messages import Trade

MOST_OFFSET_MS: Final = 2_000
"""A larger clock difference is reported."""


class Handling(Enum):
    """How a live tick is published."""

    AS_IS = "published with the venue's time"
    CORRECTED = "published as backfill, or with its time of receipt"
    REFUSED = "too far ahead, or older than any backfill"


class VenueClock:
    """Measures the venue's clock by its pongs, and judges every live tick by it.

    ``CLOCK_OFFSET`` forbids entries while the clocks differ by more than a tick may be ahead, or
    while most ticks of a symbol fail. Ticks then take their time of receipt, so that stops keep
    working.

    Args:
        alerts: Publishes ``CLOCK_OFFSET``.
        now_ms: Wall time.
        behind_ms: The stale timeout; older ticks are backfill.

    Attributes:
        offset_ms: How far the venue's clock is ahead of this machine's; None before the first pong.
        off: Whether the difference is too large to publish the venue's times.
    """

    def __init__(self, alerts: AlertPublisher, now_ms: Callable[[], int], behind_ms: int) -> None:
        self.offset_ms: int | None = None
        self.off = False
        self._alerts = alerts
        self._now_ms = now_ms
        self._behind_ms = behind_ms
        self._correction_ms = 0
        self._streams: dict[str, dict[str, StreamTimes]] = {}
        self._refused: dict[str, deque[tuple[Trade, int]]] = {}

    def pong(self, sent_ms: int, server_ms: int, now_ms: int) -> None:
        """Take a pong: the venue read its clock between ping and pong.

        A slow pong does not move a measured offset that it does not contradict.
        """
        least, most = server_ms - now_ms, server_ms - sent_ms
        known = (least + most) // 2 if self.offset_ms is None else self.offset_ms
        self.offset_ms = self._correction_ms = min(max(known, least), most)
        self.off = abs(self.offset_ms) > MOST_AHEAD_MS
        self._alerts.clock_offset(None, self.trouble() if self.off else None)

    def trouble(self) -> str | None:
        """What is wrong with this machine's clock; None when nothing is."""
        offset = self.offset_ms
        if offset is None or abs(offset) <= MOST_OFFSET_MS:
            return None
        return (
            f"MEXC's clock is {offset} ms ahead of this machine's"
            f" (limit {MOST_OFFSET_MS} ms): set this machine's time"
        )

    def judge(self, symbol: str, channel: str, timestamp: int, now_ms: int) -> Handling:
        """Judge the time of a tick that has just arrived.

        Args:
            symbol: The symbol.
            channel: Each channel of a symbol is judged separately.
            timestamp: Of the tick, Unix milliseconds.
            now_ms: Wall time.
        """
        times = self._times(symbol, channel)
        wrong = times.wrong
        venue_ms = now_ms + self._correction_ms
        verdict = times.judge(timestamp, venue_ms)
        if times.wrong is not wrong:
            self._report(symbol)
        if verdict is Verdict.AHEAD or timestamp < times.earliest(venue_ms):
            return Handling.REFUSED
        plain = verdict is Verdict.IN_TIME and not (self.off or times.wrong)
        return Handling.AS_IS if plain else Handling.CORRECTED

    def corrected(
        self, symbol: str, channel: str, events: Sequence[Event], now_ms: int
    ) -> list[Event]:
        """The events with corrected times; arguments as for ``judge``."""
        times = self._times(symbol, channel)
        venue_ms = now_ms + self._correction_ms
        return [
            times.published(event, now_ms, venue_ms, clock_off=self.off)
            if isinstance(event, MarketData)
            else event
            for event in events
        ]

    def sort_out(
        self, symbol: str, trades: Sequence[Trade], now_ms: int
    ) -> tuple[list[Trade], list[Trade], Handling]:
        """Judge the trades of a live frame.

        A trade is refused as long as its time looks wrong alone. If it turns out to be one of the
        trades that show the stream's clock to be wrong, it returns.

        Args:
            symbol: The symbol.
            trades: Sorted by time and id.
            now_ms: Wall time.

        Returns:
            The trades that return, those of the frame that are not refused, and how the latter are
            published. Both sorted as ``trades``.
        """
        kept: list[Trade] = []
        returning: list[Trade] = []
        handling = Handling.AS_IS
        for trade in trades:
            found = self.judge(symbol, TRADE_CHANNEL, trade.timestamp, now_ms)
            if found is Handling.REFUSED:
                self._refuse(symbol, trade, now_ms)
                continue
            kept.append(trade)
            if found is Handling.CORRECTED:
                handling = found
                returning += self._returning(symbol)
        return returning, kept, handling

    def _refuse(self, symbol: str, trade: Trade, now_ms: int) -> None:
        if self._times(symbol, TRADE_CHANNEL).failing == 1 or symbol not in self._refused:
            self._refused[symbol] = deque(maxlen=WINDOW)  # those before have left the window
        self._refused[symbol].append((trade, now_ms + self._correction_ms))

    def _returning(self, symbol: str) -> list[Trade]:
        times = self._times(symbol, TRADE_CHANNEL)
        if not times.wrong or symbol not in self._refused:
            return []
        found = [
            trade
            for trade, venue_ms in self._refused.pop(symbol)
            if times.earliest(venue_ms) <= trade.timestamp <= times.latest(venue_ms)
        ]
        return sorted(found, key=order_of)

    def acceptable(self, symbol: str, trades: Sequence[Trade]) -> Sequence[Trade]:
        """The trades of a REST answer that are not too far ahead, in the given order."""
        venue_ms = self._now_ms() + self._correction_ms
        latest = self._times(symbol, TRADE_CHANNEL).latest(venue_ms)
        if not trades or trades[-1].timestamp <= latest:
            return trades
        return [trade for trade in trades if trade.timestamp <= latest]

    def is_ahead(self, symbol: str, newest_ms: int, trade: Trade, now_ms: int) -> bool:
        """Whether a symbol's newest time is too far ahead of the clock that timed a trade.

        The trade is late then only compared with trades whose times were wrong.
        """
        venue_ms = now_ms + self._correction_ms
        present = self._times(symbol, TRADE_CHANNEL).present(trade.timestamp, venue_ms)
        return newest_ms > present + MOST_AHEAD_MS

    def forget(self, symbol: str) -> None:
        """A symbol was unsubscribed."""
        self._streams.pop(symbol, None)
        self._refused.pop(symbol, None)
        self._alerts.clock_offset(symbol, None)

    def _times(self, symbol: str, channel: str) -> StreamTimes:
        streams = self._streams.get(symbol)
        if streams is None:
            streams = self._streams[symbol] = {}
        times = streams.get(channel)
        if times is None:
            times = streams[channel] = StreamTimes(self._behind_ms)
        return times

    def _report(self, symbol: str) -> None:
        wrong = {name: one for name, one in self._streams[symbol].items() if one.wrong}
        why = None
        if wrong:
            shifts = ", ".join(f"{name} {one.shift_ms} ms" for name, one in wrong.items())
            why = f"most ticks of {symbol} have times far from the venue's clock: {shifts}"
        self._alerts.clock_offset(symbol, why)
