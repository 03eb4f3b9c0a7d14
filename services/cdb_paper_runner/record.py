"""Catching up from PostgreSQL: what the journal no longer holds, the orchestrator reads there.

All journals are trimmed behind the other services' snapshots, not behind the orchestrator's: it
may have been away for a week without the bus filling up.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.kernel.events import codec, topics
from services.persistence import stores
from services.runtime.bus.bus import Bus
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.subscription import Batch
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.database.address import DatabaseAddress

PAGE = 2000


def read_batches(address: DatabaseAddress, after: int, upto: int) -> Iterator[Batch]:
    """Recorded events of all topics, in their order.

    Args:
        address: As a role that may read the record.
        after: Seq before the first.
        upto: Seq of the last.

    Raises:
        DatabaseAwayError: PostgreSQL is away; nothing is lost by asking again.
    """
    with stores.behind(address).reading(address, topics.PAPER_RUNNER) as record:
        while after < upto:
            rows = record.events_page(after, upto, PAGE)
            batch = Batch(upto=rows[-1][0] if len(rows) == PAGE else upto)
            for _, _, text in rows:
                body = text.encode()
                try:
                    batch.events.append(codec.decode(body))
                except msgspec.DecodeError:
                    continue  # of a type that this code does not know: no fold reads it
                batch.bodies.append(body)
            yield batch
            after = batch.upto


class RecordedLoop(StageLoop):
    """A loop that begins with the record where the journal does not reach back far enough.

    Args:
        record: The database.
        stage, bus, options: As for `StageLoop`.
    """

    def __init__(self, record: DatabaseAddress, stage: Any, bus: Bus, **options: Any) -> None:
        super().__init__(stage, bus, **options)
        self._record = record
        self._from_record = self._last_run_start

    def _last_run_start(self) -> int:
        """Seq before the last ``run_started``, which resets every fold of this service."""
        with stores.behind(self._record).reading(self._record, topics.PAPER_RUNNER) as record:
            return record.last_run_seq() - 1

    def start(self) -> None:
        """Start, and read from PostgreSQL up to where the journal begins.

        Raises:
            DatabaseAwayError: It is needed and away.
            JournalTrimmed: PostgreSQL has not what the journal has no longer.
        """
        super().start()
        subscription = self._subscription
        assert subscription is not None
        trimmed = self.bus.heads().trimmed
        if trimmed <= subscription.position + 1:
            return
        self.waiting_for = "reading the record in PostgreSQL"
        for batch in read_batches(self._record, subscription.position, trimmed - 1):
            self._handle(batch)
            subscription.position = batch.upto
            if self.stopping.is_set():
                return
        if subscription.position < trimmed - 1:
            raise JournalTrimmed(subscription.position, trimmed)
        self.waiting_for = None
