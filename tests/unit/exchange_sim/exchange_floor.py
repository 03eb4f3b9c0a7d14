"""An exchange in virtual time and a client of it, for tests that read as conversations."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from services.exchange_sim.exchange import Exchange
from services.exchange_sim.faults.faults import NO_FAULTS, Fault, FaultKind, Script
from services.exchange_sim.markets.synthetic_market import SyntheticMarket
from services.exchange_sim.peer import Frame, PeerGone
from services.exchange_sim.rest import HttpAnswer
from services.lab.soak import virtual_time

OPENED_MS = 1_790_870_000_000
SYMBOLS = ("BTC_USDT", "ETH_USDT", "XRP_USDT")


class Client:
    """One connection to the exchange; ``frames`` is what came, decoded where it is JSON."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.unreadable: list[Frame] = []
        self.raw: list[Frame] = []
        self.closed_with: int | None = None
        self.cut = False
        self._commands: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, frame: Frame) -> None:
        if self.gone:
            raise PeerGone("gone")
        self.raw.append(frame)
        try:
            self.frames.append(json.loads(frame))
        except ValueError:
            self.unreadable.append(frame)

    async def recv(self) -> Frame:
        while self._commands.empty():
            if self.gone:
                raise PeerGone("gone")
            await asyncio.sleep(0.01)
        return self._commands.get_nowait()

    async def close(self, code: int) -> None:
        self.closed_with = code

    def abort(self) -> None:
        self.cut = True

    @property
    def gone(self) -> bool:
        return self.cut or self.closed_with is not None

    def say(self, text: str) -> None:
        self._commands.put_nowait(text)

    def subscribe(self, channel: str, symbol: str | None = "BTC_USDT", **parameters: Any) -> None:
        if symbol is not None:
            parameters["symbol"] = symbol
        self.say(json.dumps({"method": f"sub.{channel}", "param": parameters}))

    def ping(self) -> None:
        self.say('{"method":"ping"}')

    def of(self, channel: str, symbol: str | None = None) -> list[dict[str, Any]]:
        """The frames of a channel."""
        return [
            frame
            for frame in self.frames
            if isinstance(frame, dict)
            and frame.get("channel") == channel
            and (symbol is None or frame.get("symbol") == symbol)
        ]

    def trades(self, symbol: str = "BTC_USDT") -> list[dict[str, Any]]:
        """All trades pushed for a contract, in the order of their coming."""
        return [
            trade for frame in self.of("push.deal", symbol) for trade in reversed(frame["data"])
        ]

    def clear(self) -> None:
        self.frames.clear()
        self.unreadable.clear()
        self.raw.clear()


class Floor:
    """An exchange at work, and how to talk to it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._serving: list[asyncio.Task[None]] = []

    def connect(self) -> Client:
        client = Client()
        self._serving.append(asyncio.create_task(self.exchange.serve(client)))
        return client

    async def get(self, path: str) -> HttpAnswer:
        path, _, query = path.partition("?")
        return await self.exchange.answer(f"/api/v1/contract/{path}", query)

    async def data(self, path: str) -> Any:
        """The data of a successful answer."""
        answer = await self.get(path)
        body = json.loads(answer.body)
        assert (answer.status, body["success"], body["code"]) == (200, True, 0), answer
        return body["data"]

    def begin(self, kind: FaultKind, **fields: Any) -> Fault:
        fault = Fault(kind=kind, **fields)
        self.exchange.begin(fault)
        return fault

    def made(self, symbol: str = "BTC_USDT") -> list[tuple[int, str, int, int]]:
        """Time, price, contracts and side of what was traded since the opening."""
        return [
            (trade.t, str(trade.p), trade.v, 1 if trade.buys else 2)
            for trade in self.exchange.trades_made
            if trade.symbol == symbol and trade.t >= OPENED_MS
        ]


def reported(trades: list[dict[str, Any]]) -> list[tuple[int, str, int, int]]:
    """Trades of frames or REST as ``Floor.made`` gives them, by exact text of the price."""
    return [(trade["t"], str(trade["p"]), trade["v"], trade["T"]) for trade in trades]


def on_the_floor(
    talk: Callable[[Floor], Awaitable[None]],
    *,
    script: Script = NO_FAULTS,
    rate: float = 20.0,
    compressed: bool = False,
) -> None:
    """Open an exchange in virtual time, talk to it, close it."""

    async def program() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        market = SyntheticMarket(7, SYMBOLS, trades_per_second=rate, history_minutes=20)
        exchange = Exchange(
            market,
            script,
            lambda: OPENED_MS + round((loop.time() - began) * 1000),
            Random(7),  # noqa: S311 - chance on purpose
            keep_trades=True,
            compressed=compressed,
        )
        running = asyncio.create_task(exchange.run())
        try:
            await talk(Floor(exchange))
        finally:
            running.cancel()
        assert await asyncio.gather(running, return_exceptions=True)

    virtual_time.run(program(), limit_s=60)
