"""MEXC's public REST: asked at half the documented pace, at the host that answers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from services.kernel.instruments.contracts import Instrument
from services.kernel.market.bar_ticks import Bar
from services.venues.mexc import rest_messages
from services.venues.mexc.limits import Endpoint, Limits
from services.venues.mexc.messages import Ticker, Trade
from services.venues.mexc.network import Network
from services.venues.mexc.rest_messages import FundingSettlement, RestError

HOSTS: Final = ("https://api.mexc.com", "https://contract.mexc.com")
ANSWER_TIMEOUT_S: Final = 10.0
MOST_TRADES: Final = 100
"""Trades that one answer holds at most."""

MOST_BARS: Final = 2000
"""Bars that one answer holds at most."""

_OK: Final = 200
_TOO_OFTEN: Final = frozenset({403, 429})
_TOO_OFTEN_CODE: Final = 510

NO_ANSWER: Final = (ValueError, ArithmeticError, TypeError, LookupError, AttributeError)
"""What reading a body raises that is no answer to the question."""

Result = TypeVar("Result")


class VenueAwayError(Exception):
    """No host of the venue gives an answer now; asking again later may help."""


def hosts_for(url: str) -> tuple[str, ...]:
    """The given address, and for one of the venue's own also its other one."""
    url = url.rstrip("/")
    return (url, *(host for host in HOSTS if host != url)) if url in HOSTS else (url,)


class MexcRest:
    """Questions to the venue; every one is answered, refused or ``VenueAwayError``.

    Args:
        network: Fetches one address.
        hosts: Addresses, tried in turn; the one that answered is asked first from then on.
        random: Jitter of the pauses after a complaint.

    Attributes:
        limits: What was asked, and how often the venue complained.
        failures: Questions that a host did not answer, by endpoint.
    """

    def __init__(self, network: Network, hosts: Sequence[str], random: Random) -> None:
        self.limits = Limits(random)
        self.failures: Counter[str] = Counter()
        self._network = network
        self._hosts = list(hosts)

    async def details(self) -> bytes:
        """The contract details as the venue sends them, known to be readable.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """

        def checked(body: bytes) -> bytes:
            rest_messages.decode_details(body)
            return body

        return await self._ask(Endpoint.DETAIL, "detail", checked)

    async def tickers(self) -> tuple[Ticker, ...]:
        """The summaries of all symbols, in one question.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        return await self._ask(Endpoint.TICKER, "ticker", rest_messages.decode_tickers)

    async def ticker(self, symbol: str) -> tuple[Ticker, ...]:
        """The summary of one symbol.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        path = f"ticker?symbol={symbol}"
        return await self._ask(Endpoint.TICKER, path, rest_messages.decode_tickers)

    async def movers(self) -> tuple[str, ...]:
        """All symbols, the largest move of the day first.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        return await self._ask(Endpoint.TICKER, "ticker", rest_messages.decode_movers)

    async def trades(self, symbol: str) -> tuple[Trade, ...]:
        """The newest trades (at most 100) of a symbol, oldest first, without ids.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        path = f"deals/{symbol}?limit={MOST_TRADES}"
        return await self._ask(Endpoint.TRADES, path, rest_messages.decode_trades)

    async def funding_hours(self, symbol: str) -> int:
        """Hours between two settlements of a contract.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        path = f"funding_rate/{symbol}"
        return await self._ask(Endpoint.FUNDING_RATE, path, rest_messages.decode_funding_cycle)

    async def funding_history(self, symbol: str, page: int) -> tuple[FundingSettlement, ...]:
        """One page of the settled funding rates, newest first; the first page is 1.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        path = f"funding_rate/history?symbol={symbol}&page_num={page}&page_size=1000"
        return await self._ask(Endpoint.FUNDING_HISTORY, path, rest_messages.decode_funding_history)

    async def bars(
        self, symbol: str, start_ms: int, end_ms: int, interval: str = "Min1"
    ) -> tuple[tuple[int, Bar], ...]:
        """The bars (at most 2000) that opened in a span; the last may still be running.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        query = f"interval={interval}&start={start_ms // 1000}&end={end_ms // 1000}"
        path = f"kline/{symbol}?{query}"
        return await self._ask(Endpoint.KLINE, path, rest_messages.decode_bars)

    async def contracts(self) -> tuple[dict[str, Instrument], tuple[str, ...]]:
        """All contracts that can be traded, and the symbols of rows that could not be read.

        Raises:
            VenueAwayError, RestError: There is no answer, or a refusal.
        """
        return rest_messages.decode_details(await self.details())

    async def _ask(
        self, endpoint: Endpoint, path: str, decode: Callable[[bytes], Result]
    ) -> Result:
        problems: list[str] = []
        for host in list(self._hosts):
            await self.limits.wait(endpoint)
            try:
                found = await self._ask_host(host, path, decode)
            except (OSError, *NO_ANSWER) as error:
                problems.append(f"{host}: {str(error) or type(error).__name__}")
            except RestError as error:
                if error.code == _TOO_OFTEN_CODE:
                    self.limits.complained()
                if not error.retry:
                    raise
                problems.append(f"{host}: {error}")
            else:
                self.limits.answered()
                self._prefer(host)
                return found
            self.failures[endpoint] += 1
        raise VenueAwayError(f"MEXC REST {path.split('?', maxsplit=1)[0]}: {'; '.join(problems)}")

    async def _ask_host(self, host: str, path: str, decode: Callable[[bytes], Result]) -> Result:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await self._network.get(f"{host}/api/v1/contract/{path}")
        if answer.status in _TOO_OFTEN:
            self.limits.complained()
            raise OSError(f"HTTP {answer.status}, it asks for fewer requests")
        if answer.status != _OK:
            raise OSError(f"HTTP {answer.status}")
        return decode(answer.body)

    def _prefer(self, host: str) -> None:
        self._hosts.remove(host)
        self._hosts.insert(0, host)
