"""Parquet tables of a recording: their columns follow the event classes.

Decimals are text, so that they come back with the digits that they had; to calculate with them,
cast the column (``CAST(price AS DECIMAL(38, 18))``).
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

from services.kernel.bounded_json import Decoder
from services.kernel.events import BarPoint, Event, MarketData, MarketDataKind, Side

LEVELS: Final = ("bids", "asks")
_ENVELOPE = frozenset(Event.__struct_fields__) - {"timestamp"}
_TEXT: Final = frozenset({"kind", "symbol", "source", "side", "trade_id", "bar"})
_WORDS: Final[dict[str, type[StrEnum]]] = {
    "kind": MarketDataKind,
    "side": Side,
    "bar": BarPoint,
}
_WHOLE: Final = frozenset({"timestamp", "next_funding_time", "venue_time"})
_FLAGS: Final = frozenset({"backfill"})
_SCALARS: Final = tuple(
    name for name in MarketData.__struct_fields__ if name not in _ENVELOPE and name not in LEVELS
)
_DECIMALS: Final = frozenset(_SCALARS) - _TEXT - _WHOLE - _FLAGS

_LEVEL = pa.struct([("price", pa.string()), ("quantity", pa.string())])


def _type(name: str) -> pa.DataType:
    if name in _WHOLE:
        return pa.int64()
    return pa.bool_() if name in _FLAGS else pa.string()


TICKS: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        *(pa.field(name, _type(name)) for name in _SCALARS),
        *(pa.field(name, pa.list_(_LEVEL)) for name in LEVELS),
    ]
)
MARKET: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("body", pa.string(), nullable=False),
    ]
)
FRAMES: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("received_ms", pa.int64(), nullable=False),
        pa.field("connection", pa.int32(), nullable=False),
        pa.field("body", pa.binary(), nullable=False),
    ]
)

_fields: Decoder[dict[str, Any]] = Decoder(dict[str, Any])


def ticks_table(rows: Sequence[int], bodies: Iterable[bytes]) -> pa.Table:
    """Market data, as it was published, as a table.

    Args:
        rows: The events' places in their segment.
        bodies: Their JSON.
    """
    found = [_fields.decode(body) for body in bodies]
    columns = [pa.array(rows, pa.int64())]
    for name in _SCALARS:
        default = False if name in _FLAGS else None
        columns.append(pa.array([event.get(name, default) for event in found], _type(name)))
    columns += (_levels([event.get(name) for event in found]) for name in LEVELS)
    return pa.Table.from_arrays(columns, schema=TICKS)


def _levels(books: list[list[list[str]] | None]) -> pa.Array:
    offsets: list[int | None] = []
    prices: list[str] = []
    quantities: list[str] = []
    for book in books:
        offsets.append(None if book is None else len(prices))
        for price, quantity in book or ():
            prices.append(price)
            quantities.append(quantity)
    offsets.append(len(prices))
    levels = pa.StructArray.from_arrays(
        [pa.array(prices, pa.string()), pa.array(quantities, pa.string())],
        fields=list(_LEVEL),
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), levels)


class TickFields:
    """Rows of a ticks table as what ``MarketData`` has beyond the envelope.

    Columns that the file does not have, because it is older than the column, stay out.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._scalars = [name for name in _SCALARS if name in table.column_names]
        self._levels = [name for name in LEVELS if name in table.column_names]

    def rows(self, batch: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """The place of each row in its segment, and its fields; ``batch`` rows at a time."""
        for start in range(0, self._table.num_rows, batch):
            yield from self._batch(self._table.slice(start, batch))

    def _batch(self, table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
        found = {name: self._values(table, name) for name in self._scalars}
        found |= {name: _books(table.column(name)) for name in self._levels}
        named = {name: values for name, values in found.items() if values is not None}
        names = list(named)
        for row, *values in zip(table.column("row").to_pylist(), *named.values(), strict=True):
            yield (
                row,
                {
                    name: value
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                },
            )

    @staticmethod
    def _values(table: pa.Table, name: str) -> list[Any] | None:
        column = table.column(name)
        if column.null_count == len(column):
            return None
        values: list[Any] = column.to_pylist()
        if name in _DECIMALS:
            return [None if text is None else Decimal(text) for text in values]
        if name in _WORDS:
            return [None if text is None else _WORDS[name](text) for text in values]
        return values


def _books(column: pa.ChunkedArray) -> list[Any] | None:
    if column.null_count == len(column):
        return None
    books: list[Any] = []
    for chunk in column.chunks:
        flat = chunk.flatten()
        levels = list(
            zip(
                map(Decimal, flat.field("price").to_pylist()),
                map(Decimal, flat.field("quantity").to_pylist()),
                strict=True,
            )
        )
        begin = 0
        for length in chunk.value_lengths().to_pylist():
            if length is None:
                books.append(None)
                continue
            books.append(tuple(levels[begin : begin + length]))
            begin += length
    return books


def market_table(rows: Sequence[int], times: Sequence[int], bodies: Sequence[bytes]) -> pa.Table:
    """Clocks, contract details, conditions and breaks as a table."""
    types = [_fields.decode(body)["type"] for body in bodies]
    texts = [body.decode() for body in bodies]
    return pa.Table.from_arrays(
        [
            pa.array(rows, pa.int64()),
            pa.array(times, pa.int64()),
            pa.array(types, pa.string()),
            pa.array(texts, pa.string()),
        ],
        schema=MARKET,
    )


def frames_table(
    rows: Sequence[int], times: Sequence[int], connections: Sequence[int], bodies: Sequence[bytes]
) -> pa.Table:
    """Raw frames as a table."""
    return pa.Table.from_arrays(
        [
            pa.array(rows, pa.int64()),
            pa.array(times, pa.int64()),
            pa.array(connections, pa.int32()),
            pa.array(bodies, pa.binary()),
        ],
        schema=FRAMES,
    )
