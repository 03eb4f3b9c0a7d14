"""The record store's contract: the same suite holds PostgreSQL and the twin in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from services.cdb_ws.conditions import source_ended
from services.kernel.events import AnyEvent, OrderResult, topics
from services.lab.simulation.record import MemoryRecord
from services.persistence import stores
from services.persistence.memory.database import MemoryDatabase
from services.persistence.orders import TOPICS, OrderProjector, OrderRows
from services.persistence.ports import OrderTables, RecordTables
from services.persistence.record_store import CursorMovedError, SecondWriterError
from services.persistence.recorder import RecordCursor, Recorder, Transaction
from services.proof.validation.validation import validate
from services.record.database import DatabaseRecord
from services.record.reading import ChainLink, Record
from services.record.runs import runs_of
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.address import DatabaseAddress
from services.runtime.database.connections import connect
from tests.recorded import lively_events, published
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration

BATCH = 100
OrderRow = tuple[str, Decimal, Decimal | None, Decimal]


class RecordContract:
    """What both stores promise; a subclass says where they are."""

    @pytest.fixture
    def events(self) -> list[AnyEvent]:
        return lively_events(1)

    def address(self, role: str) -> DatabaseAddress:
        raise NotImplementedError

    def view(self) -> Any:
        """A context manager with the `Record` that validate and verify read."""
        raise NotImplementedError

    def order_rows(self) -> dict[str, OrderRow]:
        """Status, filled quantity, filled price and fees of each order."""
        raise NotImplementedError

    def tables(self) -> RecordTables:
        address = self.address(topics.DB_WRITER)
        return stores.behind(address).record(address)

    def orders(self) -> OrderTables:
        address = self.address(topics.EXECUTION)
        return stores.behind(address).orders(address)

    @staticmethod
    def transactions(events: list[AnyEvent], recorder: Recorder) -> Iterator[Transaction]:
        for start in range(0, len(events), BATCH):
            batch = events[start : start + BATCH]
            bodies = [published(event) for event in batch]
            made = recorder.prepare(batch, bodies, upto=batch[-1].seq, epoch="epoch")
            yield made
            recorder.accept(made)

    def record(self, events: list[AnyEvent]) -> RecordCursor:
        tables = self.tables()
        recorder = Recorder(tables.open())
        for transaction in self.transactions(events, recorder):
            tables.commit(transaction)
        tables.close()
        return recorder.cursor

    def test_an_empty_record_stands_at_the_beginning(self) -> None:
        tables = self.tables()
        assert tables.open() == RecordCursor()
        assert tables.last_run_seq() == 1
        assert tables.snapshots() == []
        assert list(tables.tail(0, 10)) == []
        tables.close()

    def test_rows_and_cursor_are_written_together(self, events: list[AnyEvent]) -> None:
        cursor = self.record(events)
        tables = self.tables()
        assert tables.open() == cursor
        assert [one.body for one in tables.tail(0, cursor.seq)] == list(map(published, events))
        middle = events[len(events) // 2].seq
        assert [one.seq for one in tables.tail(middle, middle + 5)] == [
            event.seq for event in events if middle < event.seq <= middle + 5
        ]
        tables.close()

    def test_a_transaction_is_written_once(self, events: list[AnyEvent]) -> None:
        tables = self.tables()
        recorder = Recorder(tables.open())
        [first, *_] = list(self.transactions(events[:BATCH], recorder))
        tables.commit(first)
        with pytest.raises(CursorMovedError):
            tables.commit(first)
        assert len(list(tables.tail(0, events[-1].seq))) == BATCH
        tables.close()

    def test_after_an_unknown_outcome_the_cursor_says_what_was_written(
        self, events: list[AnyEvent]
    ) -> None:
        tables = self.tables()
        recorder = Recorder(tables.open())
        first = next(self.transactions(events, recorder))
        tables.commit(first)
        tables.close()  # the answer is lost
        assert tables.open() == first.after
        tables.close()

    def test_one_process_is_the_writer(self) -> None:
        first, second = self.tables(), self.tables()
        first.open()
        with pytest.raises(SecondWriterError):
            second.open()
        first.close()
        second.open()
        second.close()

    def test_the_newest_snapshots_are_kept_once(self) -> None:
        tables = self.tables()
        tables.open()
        kept = [Snapshot(topics.CORE, b"%d" % n, n, "epoch") for n in range(1, 6)]
        assert [tables.keep_snapshot(one) for one in kept] == [True] * 5
        assert tables.keep_snapshot(kept[-1]) is False
        assert tables.keep_snapshot(Snapshot(topics.RISK, b"r", 2, "epoch"))
        assert {(one.service, one.cursor) for one in tables.snapshots()} == {
            (topics.CORE, 5),
            (topics.RISK, 2),
        }
        tables.close()
        address = self.address(topics.DB_WRITER)
        with stores.behind(address).reading(address, "test") as reader:
            assert [one.cursor for one in reader.kept_snapshots(topics.CORE)] == [5, 4, 3]

    def test_readers_page_through_the_record(self, events: list[AnyEvent]) -> None:
        cursor = self.record(events)
        address = self.address(topics.DB_WRITER)
        with stores.behind(address).reading(address, "test") as reader:
            page = reader.events_page(0, cursor.seq, 10)
            assert [text.encode() for _, _, text in page] == list(map(published, events[:10]))
            assert list(reader.recorded_events(0, cursor.seq)) == events
            assert reader.last_run_seq() == events[0].seq

    def test_the_source_goes_on_behind_its_last_event(self, events: list[AnyEvent]) -> None:
        self.record(events)
        ticks = [event for event in events if event.TOPIC in (topics.MARKET_DATA, topics.CLOCK)]
        tables = self.tables()
        tables.open()
        run_id = events[0].run_id
        assert tables.last_source_event(run_id) in (ticks[-1].event_id, None)
        assert tables.last_source_event("another run") is None
        tables.close()

    def test_the_end_of_a_market_is_known(self, events: list[AnyEvent]) -> None:
        # Seed 9 of `claire soak system` lost the bus behind the market's end, and the source
        # published its end a second time.
        run_id, last = events[0].run_id, events[-1]
        self.record(events)
        tables = self.tables()
        recorder = Recorder(tables.open())
        assert not tables.source_has_ended(run_id)
        end = replace(
            source_ended(run_id, last.timestamp, "10 ticks"), seq=last.seq + 1, topic_seq=1
        )
        made = recorder.prepare([end], [published(end)], upto=end.seq, epoch="epoch")
        tables.commit(made)
        assert tables.source_has_ended(run_id)
        assert not tables.source_has_ended("another run")
        tables.close()

    def test_the_proofs_read_the_same_record(self, events: list[AnyEvent]) -> None:
        cursor = self.record(events)
        with self.view() as record:
            span = record.whole()
            assert span.upto == cursor.seq
            assert list(record.bodies(span)) == list(map(published, events))
            assert record.chain_hash_at(cursor.seq) == cursor.chain_hash
            links = list(record.links(span))
            rows = list(record.rows(span))
            assert [row for row in rows if isinstance(row, ChainLink)] == links
            assert len(rows) == len(links) + sum(
                event.TOPIC in (topics.MARKET_DATA, topics.CLOCK) for event in events
            )
            found = validate(record, span)
            assert found.findings.total == 0
            assert found.chain_head == cursor.chain_hash.hex()
            assert [run.run_id for run in runs_of(record)] == [events[0].run_id]

    def test_order_rows_and_their_cursor_are_written_together(self, events: list[AnyEvent]) -> None:
        self.record(events)
        state = self.write_orders(events)
        orders = self.orders()
        assert orders.open() == (events[-1].seq, state)
        assert OrderProjector().snapshot() != orders.folded(events[-1].seq) == state
        read, recorded_seq = orders.recorded(0)
        assert read.events == [event for event in events if event.TOPIC in TOPICS]
        assert read.upto == recorded_seq == events[-1].seq
        with pytest.raises(CursorMovedError):
            orders.commit(OrderRows(), before=0, after=1, state=b"")
        orders.close()
        results = [event for event in events if isinstance(event, OrderResult)]
        rows = self.order_rows()
        for order_id, (status, quantity, price, fees) in rows.items():
            mine = [one for one in results if one.order_id == order_id]
            assert status == (mine[-1].status.value if mine else "PENDING")
            assert quantity == sum(one.filled_quantity for one in mine)
            assert fees == sum(one.fees for one in mine)
            assert (price is None) == (quantity == 0)
        assert {one.order_id for one in results} == rows.keys() != set()

    def test_rows_that_come_again_change_nothing(self, events: list[AnyEvent]) -> None:
        self.record(events)
        self.write_orders(events)
        before = self.order_rows()
        orders = self.orders()
        cursor, state = orders.open()
        rows = OrderRows()
        projector = OrderProjector()
        ordered = [event for event in events if event.TOPIC in TOPICS]
        projector.fold(ordered, orders.funding_payments(0, cursor), rows)
        orders.commit(rows, before=cursor, after=cursor + 1, state=state)
        orders.close()
        assert self.order_rows() == before

    def test_one_process_writes_orders(self) -> None:
        first, second = self.orders(), self.orders()
        first.open()
        with pytest.raises(SecondWriterError):
            second.open()
        first.close()
        second.open()
        second.close()

    def write_orders(self, events: list[AnyEvent]) -> bytes:
        orders = self.orders()
        before, state = orders.open()
        projector, rows = OrderProjector(), OrderRows()
        projector.restore(state)
        ordered = [event for event in events if event.TOPIC in TOPICS]
        projector.fold(ordered, orders.funding_payments(before, events[-1].seq), rows)
        orders.commit(rows, before=before, after=events[-1].seq, state=projector.snapshot())
        orders.close()
        return projector.snapshot()


class TestMemory(RecordContract):
    """The twin."""

    @pytest.fixture(autouse=True)
    def _database(self) -> None:
        self.database = MemoryDatabase()

    def address(self, role: str) -> DatabaseAddress:
        return self.database.address(role)

    @contextmanager
    def view(self) -> Iterator[Record]:
        yield MemoryRecord(self.database)

    def order_rows(self) -> dict[str, OrderRow]:
        names = ("status", "filled_quantity", "filled_price", "fees")
        rows = self.database.order_rows
        return {name: tuple(row[one] for one in names) for name, row in rows.items()}  # type: ignore[misc]


class TestPostgres(RecordContract):
    """The real server."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: PostgresServer) -> None:
        self.server = postgres_server

    def address(self, role: str) -> DatabaseAddress:
        return self.server.role(role)

    @contextmanager
    def view(self) -> Iterator[Record]:
        with connect(self.server.role("claire_grafana"), application="test") as connection:
            record = DatabaseRecord(connection)
            yield record
            record.close()

    def order_rows(self) -> dict[str, OrderRow]:
        with connect(self.server.role("claire_grafana"), application="test") as connection:
            rows = connection.execute(
                "SELECT order_id, status, filled_quantity, filled_price, fees FROM orders"
            ).fetchall()
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}
