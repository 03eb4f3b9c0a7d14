"""Run the console as a process of its own; standard input holds one line of JSON.

The line carries passwords, which no other process may read from arguments or the environment.
"""

import os
import sys

import msgspec

from services.console.server import serve
from services.console.sources import DeskSources
from services.runtime.service import logging

NICENESS = 10
"""Trading goes first."""


class Order(msgspec.Struct, frozen=True):
    """What standard input says.

    Attributes:
        sources: What the console shows.
        host: Address to listen on.
        port: TCP port.
    """

    sources: DeskSources
    host: str
    port: int


def main() -> None:
    """Serve until SIGTERM."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    sources = order.sources
    logging.configure(
        "cdb_console", "INFO", (sources.token, sources.bus.password, sources.database.password)
    )
    serve(sources, order.host, order.port)


if __name__ == "__main__":
    main()
