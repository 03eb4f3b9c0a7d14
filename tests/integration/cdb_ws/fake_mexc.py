"""A small stand-in for MEXC: its REST answers and its WebSocket, on loopback."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

DETAIL = {
    "symbol": "BTC_USDT", "contractSize": 0.0001, "priceUnit": 0.1, "volUnit": 1, "state": 0,
    "maintenanceMarginRate": 0.001, "initialMarginRate": 0.002, "maxLeverage": 100,
}  # fmt: skip


class FakeMexc:
    """Answers as the venue does; a test pushes frames and breaks connections."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.connections: list[ServerConnection] = []
        self.rest_away = False
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._socket = serve(self._serve, "127.0.0.1", 0)
        self.rest_url = f"http://127.0.0.1:{self._rest.server_address[1]}"
        self.ws_url = f"ws://127.0.0.1:{self._socket.socket.getsockname()[1]}/edge"
        for server in (self._rest, self._socket):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def push(self, channel: str, data: object, symbol: str = "BTC_USDT") -> None:
        """Send a frame on the present connection."""
        now = int(time.time() * 1000)
        frame = {"symbol": symbol, "data": data, "channel": f"push.{channel}", "ts": now}
        self.connections[-1].send(json.dumps(frame))

    def deal(self, trade_id: int, price: float = 84000.1) -> None:
        """A trade of 10 contracts, now."""
        now = int(time.time() * 1000)
        self.push("deal", [{"p": price, "v": 10, "T": 1, "t": now, "i": str(trade_id)}])

    def drop(self) -> None:
        """Break the present connection."""
        self.connections[-1].close()

    def subscribed(self) -> set[str]:
        """Channels subscribed on any connection so far."""
        methods = (command["method"] for command in list(self.commands))
        return {method.removeprefix("sub.") for method in methods if method.startswith("sub.")}

    def close(self) -> None:
        self._socket.shutdown()
        self._rest.shutdown()
        self._rest.server_close()

    def answer(self, path: str) -> object:
        """The data of a REST question."""
        if path.startswith("/api/v1/contract/detail"):
            return [DETAIL]
        if path.startswith("/api/v1/contract/funding_rate/"):
            return {"symbol": "BTC_USDT", "collectCycle": 4}
        if path.startswith("/api/v1/contract/kline/"):
            minute = int(time.time()) // 60 * 60
            opened = [minute - 60 * n for n in range(16)]
            prices = {name: [84000] * 16 for name in ("open", "high", "low", "close")}
            return {"time": opened, "vol": [40] * 16, **prices}
        return None

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            for text in connection:
                command = json.loads(text)
                self.commands.append(command)
                method = command["method"]
                channel = "pong" if method == "ping" else f"rs.{method}"
                connection.send(json.dumps({"channel": channel, "data": 1, "ts": 1}))
        except ConnectionClosed:
            return


def _handler(exchange: FakeMexc) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = exchange.answer(self.path)
            body = json.dumps({"success": data is not None, "code": 0, "data": data}).encode()
            self.send_response(503 if exchange.rest_away else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler
