"""The exchange's REST answers, with its documented limits and its errors."""

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct

from services.exchange_sim import frames
from services.exchange_sim.documents import to_json
from services.exchange_sim.markets.contract_history import Ledger

API: Final = "/api/v1/contract/"
WINDOW_S: Final = 2.0
_LIMITS: Final = {"detail": 10, "ticker": 10, "depth": 10}
_OTHER_LIMIT: Final = 20
MOST_BARS: Final = 2_000
_HISTORY: Final = 30

TOO_FREQUENT: Final = 510
UNKNOWN_CONTRACT: Final = 1001
BAD_PARAMETER: Final = 600


class HttpAnswer(Struct, frozen=True):
    """What an HTTP server answers; ``location`` is set where it points elsewhere."""

    status: int
    body: bytes
    location: str = ""


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Limiter:
    """Counts requests per endpoint in a sliding window.

    Attributes:
        limited: Requests over the limit, by endpoint.
        requests: All, by endpoint.
        most: The most within a window, by endpoint.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: dict[str, deque[float]] = {}
        self.limited: dict[str, int] = {}
        self.requests: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def over(self, endpoint: str) -> float:
        """How often the limit fits into what was asked in the window, this request included."""
        now = self._now()
        times = self._times.setdefault(endpoint, deque(maxlen=10_000))
        times.append(now)
        while times[0] <= now - WINDOW_S:
            times.popleft()
        self.requests[endpoint] = self.requests.get(endpoint, 0) + 1
        self.most[endpoint] = max(self.most.get(endpoint, 0), len(times))
        share = len(times) / _LIMITS.get(endpoint, _OTHER_LIMIT)
        if share > 1:
            self.limited[endpoint] = self.limited.get(endpoint, 0) + 1
        return share


class RestDesk:
    """Answers GET requests from the ledgers.

    Args:
        ledgers: The contracts, by symbol.
        server_ms: The server's time.
        now: The loop's time, seconds.
    """

    def __init__(
        self,
        ledgers: Mapping[str, Ledger],
        server_ms: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self.limiter = Limiter(now)
        self._ledgers = ledgers
        self._server_ms = server_ms

    def answer(self, path: str, query: str = "") -> HttpAnswer:
        """The answer to ``GET path?query``; failures come with status 200, as the venue's do."""
        if not path.startswith(API):
            return HttpAnswer(404, b"not found")
        endpoint, _, rest = path.removeprefix(API).strip("/").partition("/")
        if rest.startswith(("history", "index_price", "fair_price")):
            kind, _, rest = rest.partition("/")
            endpoint = f"{endpoint}/{kind}"
        respond = self._ENDPOINTS.get(endpoint)
        if respond is None:
            return HttpAnswer(404, b"not found")
        share = self.limiter.over(endpoint)
        if share > 2:
            return HttpAnswer(429, b"too many requests")
        if share > 1:
            return _failure(TOO_FREQUENT, "Excessive frequency of requests")
        try:
            data = respond(self, rest, dict(parse_qsl(query)))
        except _Refused as refused:
            return _failure(refused.code, str(refused))
        body = data if isinstance(data, str) else to_json(data)
        return HttpAnswer(200, f'{{"success":true,"code":0,"data":{body}}}'.encode())

    def _of(self, symbol: str) -> Ledger:
        # REST takes lower case too; the socket does not.
        ledger = self._ledgers.get(symbol.upper())
        if ledger is None:
            raise _Refused(UNKNOWN_CONTRACT, "Contract does not exist")
        return ledger

    def _ping(self, _: str, __: dict[str, str]) -> Any:
        return self._server_ms()

    def _detail(self, _: str, query: dict[str, str]) -> Any:
        if "symbol" in query:
            return frames.detail(self._of(query["symbol"]))
        return [frames.detail(ledger) for ledger in self._ledgers.values()]

    def _ticker(self, _: str, query: dict[str, str]) -> Any:
        if "symbol" in query:
            return f"{{{frames.summary(self._of(query['symbol']), full=True)}}}"
        rows = (f"{{{frames.summary(row, full=True)}}}" for row in self._ledgers.values())
        return f"[{','.join(rows)}]"

    def _trades(self, symbol: str, query: dict[str, str]) -> Any:
        ledger = self._of(symbol)
        most = min(100, max(1, _whole(query, "limit", 100)))
        rows = ",".join(  # asked for more often than all else: written by hand
            f'{{"p":{trade.p},"v":{trade.v},"T":{1 if trade.buys else 2},"O":{1 + trade.i % 3},'
            f'"M":{1 + trade.i % 2},"t":{trade.t}}}'
            for trade in list(reversed(ledger.recent))[:most]
        )
        return f"[{rows}]"

    def _depth(self, symbol: str, query: dict[str, str]) -> Any:
        ledger = self._of(symbol)
        bids, asks = ledger.book(min(1_000, max(1, _whole(query, "limit", 50))))
        return {
            "asks": asks, "bids": bids, "version": ledger.version,
            "timestamp": self._server_ms(), "cts": None,
        }  # fmt: skip

    def _kline(self, symbol: str, query: dict[str, str]) -> Any:
        ledger = self._of(symbol)
        step = frames.INTERVAL_SECONDS.get(query.get("interval", "Min1"))
        if step is None:
            raise _Refused(BAD_PARAMETER, f"interval {query['interval']} does not exist")
        end = _whole(query, "end", self._server_ms() // 1000)
        start = _whole(query, "start", 0)
        bars = frames.grouped(ledger, step, start // step * step, end)
        bars = bars[-MOST_BARS:] if "start" not in query else bars[:MOST_BARS]
        return {
            "time": [bar.opened_s for bar in bars],
            "open": [bar.previous_close for bar in bars],
            "close": [bar.close for bar in bars],
            "high": [max(bar.high, bar.previous_close) for bar in bars],
            "low": [min(bar.low, bar.previous_close) for bar in bars],
            "vol": [bar.volume for bar in bars],
            "amount": [bar.amount for bar in bars],
            "realOpen": [bar.open for bar in bars],
            "realClose": [bar.close for bar in bars],
            "realHigh": [bar.high for bar in bars],
            "realLow": [bar.low for bar in bars],
        }

    def _flat_kline(self, symbol: str, query: dict[str, str]) -> Any:
        """Bars of the fair or index price: shaped as the trades' bars, without volume."""
        columns = self._kline(symbol, query)
        return columns | {name: [0] * len(columns["time"]) for name in ("vol", "amount")}

    def _funding_rate(self, symbol: str, _: dict[str, str]) -> Any:
        if not symbol:
            return [self._rate(ledger) for ledger in self._ledgers.values()]
        return self._rate(self._of(symbol))

    def _rate(self, ledger: Ledger) -> dict[str, Any]:
        now = self._server_ms()
        return {
            "symbol": ledger.symbol, "fundingRate": ledger.rate,
            "maxFundingRate": Decimal("0.0018"), "minFundingRate": Decimal("-0.0018"),
            "collectCycle": ledger.contract.funding_interval_hours,
            "nextSettleTime": ledger.next_settlement(now), "timestamp": now,
            "idxPrice": ledger.index, "fairPrice": ledger.fair,
        }  # fmt: skip

    def _funding_history(self, _: str, query: dict[str, str]) -> Any:
        """The settlements of the last days, all at the present rate, newest first."""
        ledger = self._of(query.get("symbol", ""))
        page = max(1, _whole(query, "page_num", 1))
        size = min(1_000, max(1, _whole(query, "page_size", 20)))
        interval = max(1, ledger.contract.funding_interval_hours) * 3_600_000
        last = ledger.next_settlement(self._server_ms()) - interval
        rows = [
            {"symbol": ledger.symbol, "fundingRate": ledger.rate, "settleTime": last - n * interval}
            for n in range(_HISTORY)
        ]
        return {
            "pageSize": size, "totalCount": len(rows), "totalPage": -(-len(rows) // size),
            "currentPage": page, "resultList": rows[(page - 1) * size : page * size],
        }  # fmt: skip

    def _index_price(self, symbol: str, _: dict[str, str]) -> Any:
        ledger = self._of(symbol)
        now = self._server_ms()
        return {"symbol": ledger.symbol, "indexPrice": ledger.index, "timestamp": now}

    def _fair_price(self, symbol: str, _: dict[str, str]) -> Any:
        ledger = self._of(symbol)
        now = self._server_ms()
        return {"symbol": ledger.symbol, "fairPrice": ledger.fair, "timestamp": now}

    _ENDPOINTS: Final[dict[str, Callable[["RestDesk", str, dict[str, str]], Any]]] = {
        "ping": _ping,
        "detail": _detail,
        "ticker": _ticker,
        "deals": _trades,
        "depth": _depth,
        "kline": _kline,
        "kline/index_price": _flat_kline,
        "kline/fair_price": _flat_kline,
        "funding_rate": _funding_rate,
        "funding_rate/history": _funding_history,
        "index_price": _index_price,
        "fair_price": _fair_price,
    }


def _failure(code: int, message: str) -> HttpAnswer:
    failure = {"success": False, "code": code, "message": message}
    return HttpAnswer(200, to_json(failure).encode())


def _whole(query: dict[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise _Refused(BAD_PARAMETER, f"{name} is not a whole number") from None
