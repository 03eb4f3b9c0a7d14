"""The bus of the feed's benchmark: a real server, and nobody on it but ``cdb_ws``.

What its readers would do to the bus is done in their names, so that the journal is trimmed as in
the whole system: they say that they have taken everything.
"""

import secrets
import time
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.kernel.events import SCHEMA_VERSION, OpeningAccount, RunStarted, topics
from services.kernel.events.ids import make_id
from services.runtime.bus import recovery, snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known
from services.runtime.bus.redis import acl
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.embedded.redis_server import EmbeddedRedis

EQUITY: Final = 100_000
DAY_MS: Final = 86_400_000


class FeedBus:
    """A bus that the writer has opened; a context manager.

    Args:
        folder: For the server's data.
    """

    def __init__(self, folder: Path) -> None:
        self._passwords = {user: secrets.token_urlsafe(16) for user in acl.USERS}
        self._server = EmbeddedRedis(folder, acl.render(self._passwords))
        self._buses: dict[str, Bus] = {}

    def __enter__(self) -> Self:
        self._server.start()
        recovery.restore(self._address(acl.RECOVERY), Known())
        for name in (topics.PAPER_RUNNER, topics.DB_WRITER, *topics.STAGE_ORDER):
            self._buses[name] = Bus(self._address(name), name)
            self._buses[name].claim()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bus in self._buses.values():
            bus.close()
        self._server.stop()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._server.pid is not None
        return self._server.pid

    def environment(self) -> dict[str, str]:
        """What ``cdb_ws`` needs to find it."""
        return {
            "REDIS_HOST": self._server.host,
            "REDIS_PORT": str(self._server.port),
            "REDIS_PASSWORD_CDB_WS": self._passwords[topics.WS],
        }

    def begin_run(self, settings: dict[str, str]) -> None:
        """Start a run on the live market."""
        now = int(time.time() * 1000)
        account = OpeningAccount(
            cash=_equity(), peak_equity=_equity(), day_start_equity=_equity(), day=now // DAY_MS
        )
        run = RunStarted(
            event_id=make_id("bench", now),
            run_id=make_id("bench run", now),
            producer=topics.PAPER_RUNNER,
            schema_version=SCHEMA_VERSION,
            timestamp=now,
            causation_id=None,
            correlation_id=None,
            settings=settings,
            seed=1,
            code_version="bench",
            source="mexc",
            account=account,
        )
        self._buses[topics.PAPER_RUNNER].publish([run])

    def head(self) -> int:
        """Position of the last event."""
        return self._buses[topics.DB_WRITER].head()

    def take_everything(self) -> int:
        """Say in every reader's name that all was taken; returns the position up to which."""
        head = self.head()
        writer = self._buses[topics.DB_WRITER]
        if head > writer.cursor_of(topics.DB_WRITER).seq:
            writer.publish([], cursor=head)
        for name in topics.STAGE_ORDER:
            snapshots.save(self._buses[name], b"{}", head)
        return head

    def memory_used(self) -> float:
        """Part (0 to 1) of the server's memory that is in use."""
        return self._buses[topics.DB_WRITER].memory_used()

    def _address(self, user: str) -> RedisAddress:
        return RedisAddress(self._server.host, self._server.port, user, self._passwords[user])


def _equity() -> Decimal:
    return Decimal(EQUITY)
