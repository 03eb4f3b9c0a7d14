"""Tables ``orders`` and ``trades`` of a database in memory."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from services.kernel.events import codec, topics
from services.kernel.portfolio.portfolio import FundingPayment
from services.persistence.memory.state import MemoryReader, MemoryState, OrderCursor, Session
from services.persistence.orders import (
    ORDERS,
    TOPICS,
    OrderProjector,
    OrderRows,
    RecordedPayment,
)
from services.persistence.record_store import CursorMovedError, SecondWriterError
from services.runtime.bus.batch import Batch

PAGE: Final = 5_000
_SCALE: Final = Decimal(1).scaleb(-16)


class MemoryOrderTables:
    """Tables ``orders`` and ``trades``, as their one writer."""

    LOCK: Final = "orders"

    def __init__(self, database: MemoryState, role: str) -> None:
        self._database = database
        self._session = Session(database, role)

    def open(self) -> tuple[int, bytes]:
        """Become the one writer; returns the last seq taken and the fold's state."""
        self.close()
        self._session.connect()
        with self._session.step():
            if not self._database.lock(self.LOCK, self):
                self.close()
                raise SecondWriterError("another cdb_execution writes orders and trades")
            cursor = self._database.orders_cursor
            return cursor.seq, cursor.state

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        self._session.close()
        self._database.unlock(self)

    def commit(self, rows: OrderRows, *, before: int, after: int, state: bytes) -> None:
        """Write rows and move the cursor, both or neither."""
        database = self._database
        with self._session.step(writes=True):
            if database.orders_cursor.seq != before:
                raise CursorMovedError(f"orders and trades are not at seq {before}")
            database.orders_cursor = OrderCursor(after, state)
            for row in rows.orders:
                order = dict(zip(ORDERS, row, strict=False)) | {"updated_seq": row[-1]}
                fresh = {"status": row[len(ORDERS)], "filled_quantity": 0, "filled_value": 0}
                fresh |= {"filled_base": 0, "filled_price": None, "fees": 0, "reason": None}
                database.order_rows.setdefault(order["order_id"], order | fresh)
            for result in rows.results:
                self._apply(result)
            for row in rows.trades:
                database.trade_rows.setdefault(row[0], row)

    def _apply(self, result: dict[str, Any]) -> None:
        order = self._database.order_rows.get(result["order_id"])
        if order is None or order["origin"] != result["origin"]:
            return
        if order["updated_seq"] >= result["seq"]:
            return
        order["filled_quantity"] += result["quantity"]
        order["filled_value"] += result["value"]
        order["filled_base"] += result["base"]
        order["fees"] += result["fees"]
        order["status"], order["reason"] = result["status"], result["reason"]
        order["updated_seq"] = result["seq"]
        if order["filled_base"] > 0:
            price = order["filled_value"] / order["filled_base"]
            order["filled_price"] = price.quantize(_SCALE).normalize()

    def funding_payments(self, after: int, upto: int) -> list[RecordedPayment]:
        """The settlements of a part of the record, by seq."""
        with self._session.step():
            rows = self._database.tables.get("funding_payments", ())
            found = [row for row in rows if after < row[3] <= upto]
        return [
            RecordedPayment(
                seq,
                FundingPayment(
                    symbol=symbol,
                    settlement_time=round(settled.timestamp() * 1000),
                    quantity=quantity,
                    mark_price=mark_price,
                    rate=rate,
                    amount=amount,
                ),
            )
            for _, symbol, settled, seq, quantity, mark_price, rate, amount in found
        ]

    def folded(self, upto: int) -> bytes:
        """The fold's state after a seq, made from the record."""
        reader = MemoryReader(self._database, self._session, topics.EXECUTION)
        after = reader.last_run_seq() - 1
        projector = OrderProjector()
        while after < upto:
            page, _ = self.recorded(after, upto)
            projector.fold(page.events, self.funding_payments(after, page.upto), OrderRows())
            after = page.upto
        return projector.snapshot()

    def recorded(self, after: int, upto: int | None = None) -> tuple[Batch, int]:
        """The next page of recorded events, and the last seq of the record (or ``upto``)."""
        with self._session.step():
            complete = self._database.cursor.seq if upto is None else upto
            rows = [
                row
                for row in self._database.rows
                if row.topic in TOPICS and after < row.seq <= complete and row.chain_hash
            ][:PAGE]
        batch = Batch(upto=rows[-1].seq if len(rows) == PAGE else max(after, complete))
        for row in rows:
            body = row.body.encode()
            try:
                event = codec.decode(body)
            except msgspec.DecodeError:
                continue
            batch.events.append(event)
            batch.bodies.append(body)
        return batch, complete
