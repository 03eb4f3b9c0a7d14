"""One recorded file as observations on the common time line, and as market data events."""

from collections.abc import Iterator
from typing import Any, Final

from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.sources.files.csv_files import CsvRows
from services.cdb_ws.sources.files.file_names import DataFile, FileKind
from services.cdb_ws.sources.files.venue_units import VolumeUnit, counted_in
from services.kernel.events import BarPoint, MarketData, MarketDataKind
from services.kernel.instruments.contracts import Instrument
from services.kernel.market.bar_ticks import Bar, bar_point, points
from services.kernel.units import Contracts, Price

FUNDING_NOTICE_MS: Final = 1_000
"""A settled rate is published this long before its settlement, which books the last known rate."""

Observation = tuple[int, int, int, int, tuple[Any, ...]]
"""Timestamp, number of the file, line, point of the line, values: ordered by the first four."""


def open_rows(file: DataFile) -> CsvRows:
    """The reader for a file's rows.

    Raises:
        DataError: It is a data set whose list of files is damaged.
    """
    if not file.parquet:
        return CsvRows(file)
    # Loaded only for data that needs it: 40 MB.
    from services.cdb_ws.sources.files.parquet_files import ParquetRows  # noqa: PLC0415

    return ParquetRows(file)


def open_tick_file(
    file: DataFile, number: int, contract: Instrument, run_id: str
) -> "TradeFile | QuoteFile | FundingFile":
    """The reader for a file's kind of rows.

    Raises:
        DataError: The file cannot be read.
    """
    rows = open_rows(file)
    maker = TickMaker(run_id, file.source, file.symbol, rows.digest())
    if file.kind is FileKind.KLINES:
        return KlineFile(rows, number, maker, contract)
    if file.kind is FileKind.BOOK_TICKER:
        return QuoteFile(rows, number, maker, contract)
    if file.kind is FileKind.FUNDING:
        return FundingFile(rows, number, maker)
    return TradeFile(rows, number, maker, contract)


class TradeFile:
    """Trades: price, quantity and the taker's side."""

    def __init__(self, rows: CsvRows, number: int, maker: TickMaker, contract: Instrument) -> None:
        self.rows = rows
        self._number = number
        self._maker = maker
        self._contract = contract
        self._in_contracts = counted_in(rows.file, contract) is not VolumeUnit.BASE

    def observations(self) -> Iterator[Observation]:
        """Each row is one trade."""
        number = self._number
        for timestamp, line, values in self.rows:
            yield timestamp, number, line, 0, values

    def tick(self, observation: Observation) -> MarketData:
        """The trade, its volume in units of base."""
        return self._trade(observation, None)

    def _trade(self, observation: Observation, bar: BarPoint | None) -> MarketData:
        timestamp, _, line, point, (price, volume, side) = observation
        if self._in_contracts:
            volume = self._contract.volume_in_base(Contracts(volume), Price(price))
        maker = self._maker
        return maker.make(
            event_id=maker.make_id(line, point),
            timestamp=timestamp,
            kind=MarketDataKind.TRADE,
            price=price,
            volume=volume,
            side=side,
            bar=bar,
        )


class KlineFile(TradeFile):
    """Bars: each is the trades that stand for it."""

    def observations(self) -> Iterator[Observation]:
        """Each row is the points of one bar; a bar that begins inside another is skipped."""
        number, rows = self._number, self.rows
        step_ms = rows.file.step_ms
        bar_end = 0
        for opened_at, line, values in rows:
            if opened_at < bar_end:
                rows.accepted -= 1
                rows.skipped["overlapping_bar"] += 1
                continue
            bar_end = opened_at + step_ms
            for index, point in enumerate(points(Bar._make(values), step_ms)):
                yield (
                    opened_at + point.offset_ms,
                    number,
                    line,
                    index,
                    (point.price, point.volume, None),
                )

    def tick(self, observation: Observation) -> MarketData:
        """The trade that stands for a point of a bar."""
        return self._trade(observation, bar_point(observation[3]))


class QuoteFile(TradeFile):
    """Best bids and asks with their quantities."""

    def tick(self, observation: Observation) -> MarketData:
        """The quote, its sizes in units of base."""
        timestamp, _, line, point, (bid, bid_size, ask, ask_size) = observation
        if self._in_contracts:
            in_base = self._contract.volume_in_base
            bid_size, ask_size = in_base(bid_size, bid), in_base(ask_size, ask)
        maker = self._maker
        return maker.make(
            event_id=maker.make_id(line, point),
            timestamp=timestamp,
            kind=MarketDataKind.QUOTE,
            bid=bid,
            bid_size=bid_size,
            ask=ask,
            ask_size=ask_size,
        )


class FundingFile:
    """Settled funding rates; a row's time is that of the settlement."""

    def __init__(self, rows: CsvRows, number: int, maker: TickMaker) -> None:
        self.rows = rows
        self._number = number
        self._maker = maker

    def observations(self) -> Iterator[Observation]:
        """Each rate comes shortly before its settlement, so that the settlement books it."""
        number = self._number
        for timestamp, line, (rate,) in self.rows:
            settled_at = timestamp - timestamp % 1000
            yield settled_at - FUNDING_NOTICE_MS, number, line, 0, (rate, settled_at)

    def tick(self, observation: Observation) -> MarketData:
        """The rate, and when it is settled."""
        timestamp, _, line, point, (rate, settled_at) = observation
        maker = self._maker
        return maker.make(
            event_id=maker.make_id(line, point),
            timestamp=timestamp,
            kind=MarketDataKind.FUNDING,
            funding_rate=rate,
            next_funding_time=settled_at,
        )
