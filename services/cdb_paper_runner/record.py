"""Catching up from PostgreSQL: what the journal no longer holds, the orchestrator reads there.

All journals are trimmed behind the other services' snapshots, not behind the orchestrator's: it
may have been away for a week without the bus filling up.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.kernel.events import codec, topics
from services.persistence import stores
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.subscription import Batch, Subscription
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


def last_run_start(address: DatabaseAddress) -> int:
    """Seq before the last ``run_started``, which resets every fold of this service."""
    with stores.behind(address).reading(address, topics.PAPER_RUNNER) as record:
        return record.last_run_seq() - 1


class RecordedSubscription(Subscription):
    """A subscription that reads from the record what the journal no longer holds.

    Args:
        record: The database.
        arguments, options: As for `Subscription`.
    """

    def __init__(self, record: DatabaseAddress, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._record = record
        self._recorded: Iterator[Batch] = iter(())

    def receive(self, timeout: float) -> Batch:
        """As `Subscription.receive`.

        Raises:
            DatabaseAwayError: PostgreSQL is needed and away.
        """
        batch = next(self._recorded, None)
        if batch is None:
            try:
                return super().receive(timeout)
            except JournalTrimmed as trimmed:
                self._recorded = read_batches(self._record, self.position, trimmed.first - 1)
                batch = next(self._recorded, Batch(upto=self.position))
        self.position = batch.upto
        return batch
