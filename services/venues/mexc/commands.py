"""Commands sent to MEXC's WebSocket: pings and subscriptions, as plain text frames."""

import json
from typing import Final

DEPTH_LEVELS: Final = 20
PING: Final = '{"method":"ping"}'
CONTRACTS: Final = '{"method":"sub.contract","gzip":false}'
"""Changes of all contracts' details."""

_PARAMETERS: Final[dict[str, dict[str, int | bool]]] = {
    "deal": {"compress": False},  # single trades, as REST has them
    "fair.price": {},
    "depth.full": {"limit": DEPTH_LEVELS},
    "index.price": {},
    "ticker": {},
    "funding.rate": {},
}
TRADE_CHANNEL: Final = "deal"
DEPTH_CHANNEL: Final = "depth.full"
CHANNELS: Final = tuple(_PARAMETERS)
"""The channels subscribed for each symbol, the most important first."""


def subscription(channel: str, symbol: str) -> str:
    """The command that subscribes to one channel of one symbol."""
    return _command("sub", channel, symbol, _PARAMETERS[channel])


def unsubscription(channel: str, symbol: str) -> str:
    """The command that ends a subscription."""
    return _command("unsub", channel, symbol, {})


def _command(verb: str, channel: str, symbol: str, parameters: dict[str, int | bool]) -> str:
    found = {"symbol": symbol, **parameters}
    return json.dumps({"method": f"{verb}.{channel}", "param": found, "gzip": False})
