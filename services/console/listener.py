"""Hears every event but ticks and clock on the bus, for the pages that are open."""

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import redis

from services.console.record import event_row
from services.kernel.events import topics
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.service import logging

HEARD: Final = (
    topics.SIGNALS,
    topics.RISK_DECISIONS,
    topics.ORDERS,
    topics.ORDER_RESULTS,
    topics.ALERTS,
    topics.CONTROL,
)
RETRY_S: Final = 1.0
WAIT_S: Final = 0.5
_log = logging.get(__name__)


class BusListener:
    """A thread with one subscription; it connects again after every failure.

    Args:
        bus: As a user that may subscribe.
        on_event: Called with each event's row, see `event_row`.
        on_link: Called with ``up`` or ``away`` when the connection changes.
    """

    def __init__(
        self,
        bus: RedisAddress,
        on_event: Callable[[dict[str, Any]], None],
        on_link: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._on_event = on_event
        self._on_link = on_link
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
        self.is_connected = False

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stopping.set()
        self._thread.join(2 * WAIT_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                if self.is_connected:
                    _log.warning("console_bus_away", error=str(error))
                self._linked(is_connected=False)
                self._stopping.wait(RETRY_S)

    def _listen(self) -> None:
        with (
            redis.Redis(
                host=self._bus.host,
                port=self._bus.port,
                username=self._bus.username,
                password=self._bus.password,
                socket_connect_timeout=3.0,
                socket_timeout=5.0,
                client_name="cdb_console",
            ) as client,
            client.pubsub(ignore_subscribe_messages=True) as subscription,
        ):
            subscription.subscribe(*HEARD)
            subscription.get_message(timeout=WAIT_S)
            self._linked(is_connected=True)
            while not self._stopping.is_set():
                received = subscription.get_message(timeout=WAIT_S)
                if received is not None:
                    self._hear(received["data"])

    def _hear(self, body: bytes) -> None:
        try:
            row = event_row(body.decode())
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # posted by hand: it has no place in the order until its owner publishes it
        if row["seq"] and row["type"] != "record_head":
            self._on_event(row)

    def _linked(self, *, is_connected: bool) -> None:
        if is_connected != self.is_connected:
            self.is_connected = is_connected
            self._on_link("up" if is_connected else "away")
