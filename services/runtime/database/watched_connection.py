"""A connection to PostgreSQL that a frozen server cannot hold for ever.

The system of a frozen server goes on acknowledging what it is sent, so no time limit of TCP ends
a wait for its answer; and a limit on the answer itself would end every statement that takes long.
So a server that says nothing for a while is asked on another connection whether it is there.
"""

import socket
import time
from typing import Final, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

SILENCE_S: Final = 2.0
"""Seconds without a byte from the server after which it is asked, again and again."""
ANSWER_S: Final = 3.0
"""Seconds that it has for its answer."""
_ASK: Final = bytes.fromhex("0000000804d2162f")
"""SSLRequest: answered with one byte before anybody logs in, and by a server that starts, too."""
_RECEIVED: Final = Ready.R

Result = TypeVar("Result")


class WatchedConnection(psycopg.Connection[TupleRow]):
    """A connection whose waits end when its server answers nobody any more."""

    def wait(
        self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None
    ) -> Result:
        """Wait for the server; called by the driver.

        Raises:
            psycopg.OperationalError: The server is frozen; the connection is closed.
        """
        try:
            wanted = next(gen)  # what has arrived already needs no wait: each row of a COPY
        except StopIteration as done:
            return cast("Result", done.value)
        return super().wait(self._watched(gen, wanted), interval, timeout)

    def _watched(self, gen: PQGen[Result], wanted: Wait) -> PQGen[Result]:
        heard_at = time.monotonic()
        try:
            while True:
                ready = yield wanted
                if ready & _RECEIVED:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at >= SILENCE_S:
                    self._require_answer()
                    heard_at = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as done:
            return cast("Result", done.value)

    def _require_answer(self) -> None:
        if not answers(self.info.host, self.info.port):
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server said nothing for {SILENCE_S:g} s and does not answer within"
                f" {ANSWER_S:g} s"
            )


def answers(host: str, port: int) -> bool:
    """Whether a server answers on a new connection."""
    try:
        with socket.create_connection((host, port), ANSWER_S) as asked:
            asked.settimeout(ANSWER_S)
            asked.sendall(_ASK)
            return bool(asked.recv(1))
    except OSError:
        return False
