"""Faults by hand, while the exchange runs: a few addresses beside its own.

All are plain GET, so that a browser, curl or a test can use them: the server that they share with
the WebSocket reads nothing else. They exist only where the exchange was started with --control.
"""

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from services.exchange_sim.exchange import Exchange
from services.exchange_sim.faults.faults import MEANING, Fault, FaultKind
from services.exchange_sim.rest import HttpAnswer

PREFIX: Final = "/sim/"


class Control:
    """Answers ``/sim/status``, ``/sim/faults``, ``/sim/faults/begin`` and ``/sim/faults/clear``.

    Args:
        exchange: What is controlled.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._paths: dict[str, Callable[[dict[str, str]], Any]] = {
            "status": lambda _: exchange.figures(),
            "faults": lambda _: self._listed(),
            "faults/begin": self._begin,
            "faults/clear": self._clear,
        }

    def answer(self, path: str, query: str) -> HttpAnswer:
        """The answer to ``GET path?query``; status 400 says what is wrong with the question."""
        respond = self._paths.get(path.removeprefix(PREFIX).strip("/"))
        if respond is None:
            known = ", ".join(PREFIX + name for name in self._paths)
            return HttpAnswer(404, f"there is {known}\n".encode())
        try:
            content = respond(dict(parse_qsl(query)))
        except ValueError as error:  # a field that is not one of a fault's, too
            kinds = ", ".join(FaultKind)
            return HttpAnswer(400, f"{error}; kind is one of {kinds}\n".encode())
        return HttpAnswer(200, json.dumps(content).encode() + b"\n")

    def _listed(self) -> dict[str, Any]:
        return {
            "on": msgspec.to_builtins(self._exchange.board.active()),
            "kinds": {str(kind): meaning.text for kind, meaning in MEANING.items()},
        }

    def _begin(self, query: dict[str, str]) -> dict[str, Any]:
        fault = msgspec.convert(query, Fault, strict=False)
        self._exchange.begin(fault)
        return {"begun": msgspec.to_builtins(fault)}

    def _clear(self, query: dict[str, str]) -> dict[str, Any]:
        self._exchange.clear(FaultKind(query["kind"]) if "kind" in query else None)
        return self._listed()
