"""How often the venue may be asked: at most half of what it documents, less when it complains."""

import asyncio
from collections import Counter, deque
from enum import StrEnum
from random import Random
from typing import Final

from services.runtime.service.backoff import Backoff

WINDOW_S: Final = 2.0
FIRST_COOL_DOWN_S: Final = 5.0
LONGEST_COOL_DOWN_S: Final = 60.0


class Endpoint(StrEnum):
    """What is asked; each is counted by itself, as the venue does."""

    DETAIL = "detail"
    TICKER = "ticker"
    KLINE = "kline"
    TRADES = "deals"
    FUNDING_RATE = "funding_rate"
    FUNDING_HISTORY = "funding_rate/history"


DOCUMENTED: Final = {
    Endpoint.DETAIL: 10,
    Endpoint.TICKER: 10,
    Endpoint.KLINE: 20,
    Endpoint.TRADES: 20,
    Endpoint.FUNDING_RATE: 20,
    Endpoint.FUNDING_HISTORY: 20,
}
"""Requests in two seconds that the venue allows."""


class RateLimit:
    """So many requests in any span of so many seconds, in the order in which they were wanted.

    Args:
        count: Requests.
        seconds: Length of the span.
    """

    def __init__(self, count: int, seconds: float = WINDOW_S) -> None:
        self._times: deque[float] = deque(maxlen=count)
        self._count = count
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self.waiting = 0

    async def wait(self) -> None:
        """Wait for the turn of one more request."""
        loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            async with self._turn:
                if len(self._times) == self._count:
                    await asyncio.sleep(self._times[0] + self._seconds - loop.time())
                self._times.append(loop.time())
        finally:
            self.waiting -= 1


class Limits:
    """The limits of one address: per endpoint, and a pause of everything when it complains.

    Args:
        random: Jitter of the pauses.

    Attributes:
        asked: Requests by endpoint.
        complaints: How often the venue asked for fewer requests.
    """

    def __init__(self, random: Random) -> None:
        self.asked: Counter[str] = Counter()
        self.complaints = 0
        self._limits = {name: RateLimit(count // 2) for name, count in DOCUMENTED.items()}
        self._cool_down = Backoff(FIRST_COOL_DOWN_S, LONGEST_COOL_DOWN_S, random=random)
        self._not_before = 0.0

    async def wait(self, endpoint: Endpoint) -> None:
        """Wait until the endpoint may be asked once more."""
        loop = asyncio.get_running_loop()
        await self._limits[endpoint].wait()
        while (pause := self._not_before - loop.time()) > 0:
            await asyncio.sleep(pause)
            # The turn that was had is over: all that waited must not ask at once now.
            await self._limits[endpoint].wait()
        self.asked[endpoint] += 1

    def waiting(self, endpoint: Endpoint) -> int:
        """How many requests wait for their turn."""
        return self._limits[endpoint].waiting

    def complained(self) -> None:
        """The venue answered that it is asked too often."""
        self.complaints += 1
        pause = self._cool_down.next_delay()
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + pause)

    def answered(self) -> None:
        """The venue answered in earnest."""
        self._cool_down.reset()
