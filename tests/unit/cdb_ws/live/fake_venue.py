"""A venue in memory, scripted by the test, for the engine in virtual time."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable
from random import Random
from typing import Any

from services.cdb_ws.live.engine import Engine
from services.cdb_ws.live.engine_config import EngineConfig
from services.kernel.events import (
    Alert,
    Condition,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
)
from services.lab.soak import virtual_time
from services.venues.mexc.commands import CHANNELS
from services.venues.mexc.network import Answer, Connection, ConnectionLost

NOW = 1_700_000_000_000
CUT = "cut"


class FakeConnection:
    """One connection: remembers what it was sent, and when."""

    def __init__(self, venue: "FakeVenue") -> None:
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.closed = False
        self._venue = venue
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        if self.closed:
            raise ConnectionLost(CUT)
        command = json.loads(text)
        self.sent.append((self._venue.time(), command))
        if command["method"] == "ping" and self._venue.answers_pings:
            self.push_frame(channel="pong", data=self._venue.now_ms() + self._venue.ahead_ms)
        elif command["method"].startswith("sub."):
            self.push_frame(channel=f"rs.{command['method']}", data="success")

    async def recv(self) -> str | bytes:
        frame = await self._inbox.get()
        if frame is None:
            raise ConnectionLost(CUT)
        return frame

    async def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """End it from the venue's side."""
        self.closed = True
        self._inbox.put_nowait(None)

    def push_frame(self, **frame: object) -> None:
        """Say anything."""
        self.push_text(json.dumps(frame))

    def push_text(self, text: str) -> None:
        """Say anything, also what is no JSON."""
        self._inbox.put_nowait(text)

    def push(self, channel: str, symbol: str, data: object) -> None:
        """Say something of a symbol."""
        self.push_frame(
            symbol=symbol, data=data, channel=f"push.{channel}", ts=self._venue.now_ms()
        )

    def asked(self, channel: str) -> list[str]:
        """The symbols whose channel was subscribed, in order, repetitions included."""
        return [
            command["param"]["symbol"]
            for _, command in self.sent
            if command["method"] == f"sub.{channel}"
        ]

    def asked_at(self, channel: str, symbol: str) -> float:
        """When a subscription was asked for last."""
        return max(
            at
            for at, command in self.sent
            if command["method"] == f"sub.{channel}" and command["param"]["symbol"] == symbol
        )


class FakeVenue:
    """The network and the venue behind it."""

    def __init__(self, symbols: Iterable[str] = ("BTC_USDT",)) -> None:
        self.connections: list[FakeConnection] = []
        self.attempts: list[float] = []
        self.refuses = False
        self.rest_away = self.trades_away = self.tickers_away = False
        self.answers_pings = True
        self.ahead_ms = 0
        self.asked: list[tuple[float, str]] = []
        self.details = {symbol: detail(symbol) for symbol in symbols}
        self.movers = list(symbols)
        self.trades: dict[str, list[dict[str, Any]]] = {}
        self._began = 0.0
        self._ids = 0

    def time(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time() - virtual_time.START_S

    def now_ms(self) -> int:
        return NOW + int(self.time() * 1000)

    async def connect(self, url: str) -> Connection:
        assert url == "ws://venue/edge"
        self.attempts.append(self.time())
        await asyncio.sleep(0.01)
        if self.refuses:
            raise ConnectionLost("refused")
        self.connections.append(FakeConnection(self))
        return self.connections[-1]

    async def get(self, url: str) -> Answer:
        path = url.removeprefix("http://venue/api/v1/contract/")
        self.asked.append((self.time(), path))
        await asyncio.sleep(0.01)
        if self.rest_away or (self.trades_away and path.startswith("deals/")):
            raise OSError("no route")
        name, _, symbol = path.partition("?")[0].partition("/")
        if name == "ticker" and self.tickers_away:
            raise OSError("no route")
        data: object = {
            "detail": list(self.details.values()),
            "ticker": [
                {"symbol": one, "lastPrice": 10, "fairPrice": 11, "indexPrice": 12, "bid1": 9,
                 "ask1": 13, "riseFallRate": 1 - place / 100, "timestamp": self.now_ms()}
                for place, one in enumerate(self.movers)
            ],
            "kline": self._bars(symbol),
            "deals": list(reversed(self.trades.get(symbol, [])[-100:])),
            "funding_rate": {"symbol": symbol, "collectCycle": 4},
        }[name]  # fmt: skip
        return Answer(200, json.dumps({"success": True, "code": 0, "data": data}).encode())

    def _bars(self, symbol: str) -> dict[str, list[int]]:
        """The minutes of the trades: only their volume is true."""
        volumes: Counter[int] = Counter()
        for one in self.trades.get(symbol, []):
            volumes[one["t"] // 60_000 * 60] += one["v"]
        prices = {name: [10] * len(volumes) for name in ("open", "high", "low", "close")}
        return {"time": sorted(volumes), "vol": [volumes[at] for at in sorted(volumes)], **prices}

    def goes_on(self, before: "FakeVenue", later_ms: int) -> None:
        """Take the trades of a venue that was heard earlier, so much before this one."""
        self._ids = before._ids
        self.trades = {
            symbol: [trade | {"t": trade["t"] - later_ms} for trade in trades]
            for symbol, trades in before.trades.items()
        }

    def connection_of(self, symbol: str) -> FakeConnection:
        """The open connection that a symbol's trades were subscribed on last."""
        alive = [one for one in self.connections if not one.closed and symbol in one.asked("deal")]
        return max(alive, key=lambda one: one.asked_at("deal", symbol))

    def trade(self, symbol: str, *, pushed: bool = True) -> int:
        """Make a trade; returns its id."""
        self._ids += 1
        trade = {"p": 10 + self._ids, "v": 1, "T": 1, "O": 1, "M": 1, "t": self.now_ms()}
        self.trades.setdefault(symbol, []).append(trade)
        if pushed:
            self.connection_of(symbol).push("deal", symbol, [trade | {"i": str(self._ids)}])
        return self._ids

    def mark(self, symbol: str) -> None:
        """Say a symbol's fair price."""
        self.connection_of(symbol).push("fair.price", symbol, {"symbol": symbol, "price": 10})


def detail(symbol: str) -> dict[str, Any]:
    """Contract details as REST has them."""
    return {
        "symbol": symbol, "contractSize": 0.1, "priceUnit": 0.1, "volUnit": 1, "state": 0,
        "maintenanceMarginRate": 0.01, "initialMarginRate": 0.02, "maxLeverage": 50,
        "baseCoin": symbol.split("_", maxsplit=1)[0], "quoteCoin": "USDT", "settleCoin": "USDT",
        "apiAllowed": True,
    }  # fmt: skip


class Received:
    """What the engine emitted."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def ticks(self, kind: MarketDataKind, symbol: str = "BTC_USDT") -> list[MarketData]:
        return [
            event
            for event in self.events
            if isinstance(event, MarketData) and (event.kind, event.symbol) == (kind, symbol)
        ]

    def prices(self, symbol: str = "BTC_USDT") -> list[tuple[int, str]]:
        """Price and source of each trade; the price is ten more than the trade's id."""
        trades = self.ticks(MarketDataKind.TRADE, symbol)
        return [(int(trade.price or 0) - 10, trade.source) for trade in trades]

    def gaps(self, symbol: str | None = None) -> list[Condition]:
        return [
            event
            for event in self.events
            if isinstance(event, Condition) and symbol in {None, event.symbol}
        ]

    def alerts(self, code: str) -> list[str]:
        return [
            event.phase.value
            for event in self.events
            if isinstance(event, Alert) and event.code == code
        ]

    def universes(self) -> list[tuple[str, ...] | None]:
        """What may be entered, as it was reported."""
        return [event.universe for event in self.events if isinstance(event, Instruments)]

    def instruments(self) -> list[list[str]]:
        return [
            [one.symbol for one in event.instruments]
            for event in self.events
            if isinstance(event, Instruments)
        ]


class Scene:
    """What a test's program has to do with."""

    def __init__(self, venue: FakeVenue, engine: Engine, received: Received) -> None:
        self.venue = venue
        self.engine = engine
        self.received = received


Play = Callable[[Scene], Coroutine[Any, Any, None]]


def play(
    program: Play,
    venue: FakeVenue,
    *,
    backlog: Callable[[], int] = lambda: 0,
    held: Callable[[], Collection[str]] = frozenset,
    limit_s: float = 20,
    **config: Any,
) -> Received:
    """Run a test's program beside the engine in virtual time."""
    received = Received()

    async def stage() -> None:
        given: dict[str, Any] = {"symbols": tuple(venue.details), "lookback_minutes": 0} | config
        engine = Engine(
            venue,
            EngineConfig(
                run_id="run", ws_url="ws://venue/edge", rest_urls=("http://venue",), **given
            ),
            Random(1),  # noqa: S311 - jitter
            received.events.extend,
            backlog=backlog,
            held=held,
        )
        running = asyncio.create_task(engine.run())
        playing = asyncio.create_task(program(Scene(venue, engine, received)))
        await asyncio.wait({running, playing}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await playing

    virtual_time.run(stage(), limit_s=limit_s)
    return received


async def until_subscribed(venue: FakeVenue, *symbols: str) -> None:
    """Wait until all channels of some symbols were asked for on open connections."""

    def missing() -> bool:
        alive = [one for one in venue.connections if not one.closed]
        return any(
            not any(symbol in one.asked(channel) for one in alive)
            for symbol in symbols or tuple(venue.details)
            for channel in CHANNELS
        )

    async with asyncio.timeout(120):
        while missing():
            await asyncio.sleep(0.05)


async def keep_speaking(venue: FakeVenue, *symbols: str, seconds: float) -> None:
    """Let symbols say their fair price once a second."""
    for _ in range(int(seconds)):
        for symbol in symbols:
            venue.mark(symbol)
        await asyncio.sleep(1)
