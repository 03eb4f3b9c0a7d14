"""MEXC's public REST: asked slowly, at the host that answers."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from services.cdb_ws.sources.klines import Bar
from services.cdb_ws.sources.live import SourceAwayError
from services.cdb_ws.sources.mexc import rest_messages
from services.cdb_ws.sources.mexc.rest_messages import RestError
from services.kernel.instruments import Instrument

HOSTS: Final = ("https://api.mexc.com", "https://contract.mexc.com")
TIMEOUT_S: Final = 8.0
SPACING_S: Final = 0.2
"""Half of the documented 20 requests per 2 s."""

MAX_BODY_BYTES: Final = 64 << 20
_BUSY: Final = frozenset({403, 429})

Get = Callable[[str], bytes]
Answer = TypeVar("Answer")


def http_get(url: str) -> bytes:
    """The body of an HTTP answer.

    Raises:
        OSError: No answer, or one with an error status.
        ValueError: Not an http address.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"MEXC_REST_URL {url!r} is no http address; set one that is")
    request = urllib.request.Request(url, headers={"Language": "en-US"})  # noqa: S310 - checked
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked
        body: bytes = answer.read(MAX_BODY_BYTES)
        return body


def hosts_for(url: str) -> tuple[str, ...]:
    """The given address, and for one of the venue's own also its other one."""
    url = url.rstrip("/")
    return (url, *(host for host in HOSTS if host != url)) if url in HOSTS else (url,)


class MexcRest:
    """Questions to the venue; every one either answered or ``SourceAwayError``.

    Args:
        hosts: Addresses, tried in turn.
        get: Fetches one address.
        pause: Waits between two requests, seconds.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        get: Get = http_get,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._hosts = list(hosts)
        self._get = get
        self._pause = pause

    def contracts(self) -> tuple[dict[str, Instrument], tuple[str, ...]]:
        """All contracts that can be traded, and the symbols of rows that could not be read."""
        return self._ask("detail", rest_messages.decode_details)

    def movers(self) -> tuple[str, ...]:
        """All symbols, the largest move of the day first."""
        return self._ask("ticker", rest_messages.decode_movers)

    def funding_hours(self, symbol: str) -> int:
        """Hours between two settlements of a contract."""
        return self._ask(f"funding_rate/{symbol}", rest_messages.decode_funding_cycle)

    def minute_bars(self, symbol: str, start_ms: int, end_ms: int) -> tuple[tuple[int, Bar], ...]:
        """The minutes that opened in a span; the last may still be running."""
        query = f"interval=Min1&start={start_ms // 1000}&end={end_ms // 1000}"
        return self._ask(f"kline/{symbol}?{query}", rest_messages.decode_bars)

    def _ask(self, path: str, decode: Callable[[bytes], Answer]) -> Answer:
        problems: list[str] = []
        for host in list(self._hosts):
            self._pause(SPACING_S)
            url = f"{host}/api/v1/contract/{path}"
            try:
                answer = decode(self._get(url))
            except urllib.error.HTTPError as error:
                busy = ", it asks for fewer requests" if error.code in _BUSY else ""
                problems.append(f"{host}: HTTP {error.code}{busy}")
            except (OSError, msgspec.DecodeError, ValueError) as error:
                problems.append(f"{host}: {error}")
            except RestError as error:
                if not error.retry:
                    raise
                problems.append(f"{host}: {error}")
            else:
                self._prefer(host)
                return answer
        raise SourceAwayError(f"MEXC REST {path.split('?', maxsplit=1)[0]}: {'; '.join(problems)}")

    def _prefer(self, host: str) -> None:
        self._hosts.remove(host)
        self._hosts.insert(0, host)
