"""A record without its writer: what the journals hold becomes rows of ``events``, and no others."""

import threading

import psycopg

from services.kernel.events import topics
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus, Unavailable
from tests.servers import PostgresServer, RedisServer

_TICKS = frozenset({topics.MARKET_DATA, topics.CLOCK})
_INSERT = (
    "INSERT INTO events VALUES (%s, %s, %s, %s, 'x', %s, 'r', now(), NULL, NULL, 1, false, %s, %s)"
    " ON CONFLICT DO NOTHING"
)


class JournalRecorder:
    """Records up to a seq when it is asked to, or everything while it runs.

    Args:
        redis: Where the journals are.
        postgres: Where the record is.
    """

    def __init__(self, redis: RedisServer, postgres: PostgresServer) -> None:
        self.seq = 0
        self._bus = Bus(redis.address("operator"), "operator")
        self._postgres = postgres
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def record(self, upto: int) -> None:
        """Write down what was published up to a seq."""
        with self._postgres.connection() as connection, connection.transaction():
            for entry in journal.read_entries(self._bus, topics.TOPICS, self.seq, upto):
                event = journal.open_entry(entry)
                if event.TOPIC not in _TICKS:
                    place = (entry.seq, event.TOPIC, event.topic_seq, event.event_id)
                    body = (entry.producer, entry.body.decode(), bytes(32))
                    connection.execute(_INSERT, (*place, *body))
        self._postgres.record_upto(upto)
        self.seq = upto

    def start(self) -> None:
        """Record everything from now on, in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Record nothing more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop and disconnect."""
        self.stop()
        self._bus.close()

    def _run(self) -> None:
        while not self._stopping.wait(0.02):
            try:
                head = self._bus.head()
                if head > self.seq:
                    self.record(head)
            except (psycopg.Error, Unavailable):
                continue  # a test has taken a server away
