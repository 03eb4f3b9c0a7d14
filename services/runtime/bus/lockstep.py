"""Lock-step: a replay at full speed goes on only when every stage has done what was published.

Each stage tells its progress on a channel, which costs no disk write; the source waits until all
have reached the end. Outputs have to enter the order by cause and then by stage: the publish
script refuses whoever is too early (``TURN``), from the cursors. These are written now and then
only, so whoever wants to publish asks the others, on a second channel, to write theirs.
"""

from typing import Any

from services.kernel.events import topics
from services.runtime import host
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.redis.connection import Connection, pack
from services.runtime.bus.redis.names import PROGRESS_CHANNEL, TURN_CHANNEL

ASK_EVERY_S = 0.25


class LockStep:
    """The source's side: wait until execution, risk and core have nothing left to do.

    Args:
        bus: The source's bus; what it published last is what has to be done.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._connection: Connection | None = None
        self._handled = dict.fromkeys(topics.STAGE_ORDER, 0)
        self._end = 0

    def wait_idle(self, timeout: float) -> bool:
        """Wait until every stage has handled everything: what was published, and what came of it.

        Works in any run; fast only in lock-step, where the stages tell their progress.

        Args:
            timeout: Seconds.

        Returns:
            False when the time was over first; wait again, nothing is lost by it.

        Raises:
            Unavailable: The bus is away.
        """
        deadline = host.monotonic() + timeout
        try:
            connection = self._connection or self._connect()
            self._end = max(self._end, self._bus.last_published)
            while not self._idle() and (left := deadline - host.monotonic()) > 0:
                replies = connection.receive(min(left, ASK_EVERY_S))
                if not replies:
                    self._ask()
                    if self._idle_by_cursors():
                        return True
                for reply in replies:
                    self._note(reply)
        except BaseException:
            self.close()
            raise
        return self._idle()

    def close(self) -> None:
        """Close the connection; the next wait opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        connection = self._connection = self._bus.open_connection("lockstep")
        connection.send(pack("SUBSCRIBE", PROGRESS_CHANNEL))
        # A predecessor's last events count too.
        self._end = self._bus.head()
        self._ask()
        return connection

    def _ask(self) -> None:
        self._bus.post(TURN_CHANNEL, f"{self._bus.service} 0")

    def _note(self, reply: Any) -> None:
        if reply[0] != b"message":
            return
        service, handled, published = reply[2].decode().split()
        if service in self._handled:
            self._handled[service] = max(self._handled[service], int(handled))
            # It tells its progress after its outputs: once all have reached the end as known
            # here, nothing that was caused before it is unknown.
            self._end = max(self._end, int(published))

    def _idle_by_cursors(self) -> bool:
        heads = self._bus.heads()
        if heads.in_step:
            return False
        return all(
            self._bus.cursor_of(name).seq
            >= max(heads.topic_heads[topic] for topic in topics.CONSUMES[name])
            for name in topics.STAGE_ORDER
        )

    def _idle(self) -> bool:
        return min(self._handled.values()) >= self._end


class Progress:
    """A stage's side: tell how far it is, without waiting for an answer.

    Args:
        bus: The stage's bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._connection: Connection | None = None

    def tell(self, handled: int, published: int) -> None:
        """Everything up to ``handled`` is done; its own last output is ``published``.

        A failure is left to the source: it asks again when it hears nothing.
        """
        try:
            if self._connection is None:
                self._connection = self._bus.open_connection("progress")
                self._connection.send(pack("CLIENT", "REPLY", "OFF"))
            message = f"{self._bus.service} {handled} {published}"
            self._connection.send(pack("PUBLISH", PROGRESS_CHANNEL, message))
        except Unavailable:
            self.close()

    def ask_turn(self, cause: int) -> None:
        """Ask the other stages to write their cursors, up to a cause.

        Raises:
            Unavailable: The bus is away.
        """
        self._bus.post(TURN_CHANNEL, f"{self._bus.service} {cause}")

    def close(self) -> None:
        """Close the connection; the next message opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
