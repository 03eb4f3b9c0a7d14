"""Latency as an outsider sees it: from the tick that fills an order to the order's result."""

import math
import time
from collections.abc import Sequence
from typing import Final

from services.kernel.events import codec, topics
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import pack

_EVENT_ID: Final = b'"event_id":"'
_CAUSATION_ID: Final = b'"causation_id":"'
_ID_LENGTH: Final = 32
_RUN_ENDED: Final = b'{"type":"run_ended"'
KEPT_TICKS: Final = 50_000
"""Ticks whose arrival is remembered; a result comes long before so many more."""


class FillObserver:
    """Subscribes to ticks and results, and notes when each arrives.

    Args:
        address: The bus, as the operator.
        ticks: Whether it listens to them; without, it only waits for the end.

    Attributes:
        latencies: Seconds, one per order result that a tick caused.
        run_ended: Seq of the run's end; 0 while it was not seen.
    """

    def __init__(self, address: RedisAddress, *, ticks: bool = True) -> None:
        self.latencies: list[float] = []
        self.run_ended = 0
        self._arrived: dict[bytes, float] = {}
        self._connection = address.connect("claire-bench")
        received = [topics.CONTROL, *([topics.MARKET_DATA, topics.ORDER_RESULTS] if ticks else [])]
        self._connection.send(pack("SUBSCRIBE", *received))

    def observe(self, seconds: float) -> None:
        """Take what arrives within some time."""
        deadline = time.monotonic() + seconds
        while not self.run_ended and (left := deadline - time.monotonic()) > 0:
            replies = self._connection.receive(left)
            now = time.monotonic()
            for kind, channel, body in replies:
                if kind == b"message":
                    self._note(channel, body, now)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _note(self, channel: bytes, body: bytes, now: float) -> None:
        if channel == b"market_data":
            if len(self._arrived) > KEPT_TICKS:
                self._arrived.clear()
            self._arrived[_field(body, _EVENT_ID)] = now
        elif channel == b"order_results":
            arrived = self._arrived.get(_field(body, _CAUSATION_ID))
            if arrived is not None:
                self.latencies.append(now - arrived)
        elif body.startswith(_RUN_ENDED):
            self.run_ended = codec.decode(body).seq


def _field(body: bytes, name: bytes) -> bytes:
    """An id's text; events have one form of JSON, so no parser is needed."""
    start = body.find(name) + len(name)
    return body[start : start + _ID_LENGTH]


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` (0 to 1) of all values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0
