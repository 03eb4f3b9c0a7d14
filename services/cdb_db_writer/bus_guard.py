"""Watching over the bus as user ``recovery``: its counters, and what keeps the server busy."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from services.persistence.recorder import RecordCursor
from services.runtime import host
from services.runtime.bus import counters
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import (
    Connection,
    ConnectionLost,
    ReplyError,
    Unavailable,
)
from services.runtime.service import logging

LOOK_EVERY_S: Final = 1.0
_KILLS: Final = (("FUNCTION", "KILL"), ("SCRIPT", "KILL"))

_log = logging.get(__name__)


class BusGuard:
    """Puts counters right that the journals contradict, and kills functions that do not end.

    Run it in a thread of its own: whether the writer can write has no part in it.

    Args:
        address: The bus, as user ``recovery``.
        recorded: Where the record stands; None while that is not known.

    Attributes:
        counts: How many ``counters`` were put right and how many functions were ``killed``.
        changed: The counters that were put right last, in words.
        failure: Why the last look failed, unless the bus was away; None after a good one.
    """

    def __init__(self, address: RedisAddress, recorded: Callable[[], RecordCursor | None]) -> None:
        self.counts: Counter[str] = Counter()
        self.changed = ""
        self.failure: str | None = None
        self._address = address
        self._recorded = recorded
        self._connection: Connection | None = None

    def run(self, stopping: host.Event) -> None:
        """Look about once a second until ``stopping`` is set."""
        while not stopping.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Unavailable as away:  # the writer's own calls say so
                _log.warning("bus_guard_waits", reason=str(away))
            except Exception as error:
                self._note_failure(f"nobody watches over the bus: {error!r}")
            else:
                self.failure = None
        self._close()

    def _note_failure(self, reason: str) -> None:
        if reason != self.failure:  # it is tried again every second
            _log.exception("bus_guard_failed")
        self.failure = reason

    def look(self) -> None:
        """Look once.

        Raises:
            Unavailable: The bus is away.
        """
        try:
            connection = self._connection = self._connection or self._address.connect("guard")
            self._end_what_does_not_end(connection)
            cursor = self._recorded()
            if cursor is not None:
                self._heal(connection, cursor)
        except BaseException:
            self._close()
            raise

    def _end_what_does_not_end(self, connection: Connection) -> None:
        try:
            connection.call("PING")
        except Unavailable as busy:
            if "BUSY" not in str(busy):
                raise
            for command in _KILLS:
                try:
                    connection.call(*command)
                except ConnectionLost:
                    raise
                except (ReplyError, Unavailable) as refused:  # the other kind, or it has written
                    _log.warning("kill_refused", command=" ".join(command), reason=str(refused))
                    continue
                self.counts["killed"] += 1
                _log.error("killed", command=" ".join(command), message="it kept the bus busy")

    def _heal(self, connection: Connection, cursor: RecordCursor) -> None:
        healed = counters.heal(connection, counters.Recorded(cursor.seq, cursor.topic_seqs))
        if healed:
            self.counts["counters"] += len(healed)
            self.changed = ", ".join(
                f"{name} was {was or 'missing'}, is {now or 'removed'}"
                for name, (was, now) in list(healed.items())[:5]
            )
            _log.error("counters_healed", count=len(healed), changed=self.changed)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
