"""A database that holds the record of a lively market, written as the services write it."""

from collections.abc import Iterator

import pytest

from services.kernel.events import AnyEvent
from services.persistence.order_store import OrderStore
from services.persistence.orders import TOPICS, OrderProjector, OrderRows
from services.persistence.record_store import RecordStore
from services.persistence.recorder import Recorder
from services.record.database import DatabaseRecord
from services.runtime.database.connections import connect
from tests.recorded import lively_events, published
from tests.servers import PostgresServer

BATCH = 100


@pytest.fixture
def recorded_events() -> list[AnyEvent]:
    return lively_events(1)


@pytest.fixture
def recorded_server(
    postgres_server: PostgresServer, recorded_events: list[AnyEvent]
) -> PostgresServer:
    """The writer and execution have written everything, and are gone."""
    store = RecordStore(postgres_server.role("cdb_db_writer"))
    recorder = Recorder(store.open())
    for start in range(0, len(recorded_events), BATCH):
        batch = recorded_events[start : start + BATCH]
        bodies = [published(event) for event in batch]
        made = recorder.prepare(batch, bodies, upto=batch[-1].seq, epoch="epoch")
        store.commit(made)
        recorder.accept(made)
    store.close()
    _write_orders(postgres_server, recorded_events)
    return postgres_server


@pytest.fixture
def record(recorded_server: PostgresServer) -> Iterator[DatabaseRecord]:
    """As one reads it who may only read."""
    with connect(recorded_server.role("claire_grafana"), application="test") as connection:
        view = DatabaseRecord(connection)
        yield view
        view.close()


def _write_orders(server: PostgresServer, events: list[AnyEvent]) -> None:
    orders = OrderStore(server.role("cdb_execution"))
    before, state = orders.open()
    projector = OrderProjector()
    projector.restore(state)
    rows = OrderRows()
    ordered = [event for event in events if event.TOPIC in TOPICS]
    projector.fold(ordered, orders.funding_payments(before, events[-1].seq), rows)
    orders.commit(rows, before=before, after=events[-1].seq, state=projector.snapshot())
    orders.close()
