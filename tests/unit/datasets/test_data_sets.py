"""Importing and fetching market data, and reading it as a market."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store
from services.cdb_ws.sources.files.file_names import describe
from services.cdb_ws.sources.files.parquet_files import read_data_set
from services.cdb_ws.sources.markets import open_market
from services.datasets import fetching
from services.datasets.fetching import DAY_MS, Fetcher, FetchError, Wanted
from services.datasets.importing import SIDES, Dialect, Imported, import_file
from services.datasets.sets import Overlap
from services.kernel.events import MarketData, Side, codec
from services.kernel.market.bar_ticks import Bar
from services.venues.mexc.rest import VenueAwayError
from services.venues.mexc.rest_messages import FundingSettlement, RestError
from tests.unit.cdb_ws.sources.test_recorded_data import data

pytestmark = pytest.mark.unit

T = 1_790_000_000_000 // DAY_MS * DAY_MS
BTC = "BTC_USDT"


def ticks(*paths: Path) -> list[MarketData]:
    steps = open_market(paths, "run").steps(0)
    return [event for _, event in steps if isinstance(event, MarketData)]


def said(events: Sequence[MarketData]) -> list[bytes]:
    return [codec.encode(replace(event, event_id="")) for event in events]


def imported(
    tmp_path: Path, name: str, text: str, target: str = "x_BTC_USDT_trades", **dialect: object
) -> tuple[Imported, list[MarketData]]:
    source = tmp_path / name
    source.write_text(text)
    file = describe(tmp_path / "data" / target)
    result = import_file(source, file, Dialect(**dialect))  # type: ignore[arg-type]
    return result, ticks(file.path)


def trades(events: Sequence[MarketData]) -> list[tuple[int, str, str, Side | None]]:
    return [(e.timestamp - T, str(e.price), str(e.volume), e.side) for e in events]


def test_our_own_files_need_nothing_said_and_come_by_day(tmp_path: Path) -> None:
    text = f"ts_ms,price,qty,side\n{T},1.50,2,buy\n{T + DAY_MS},1.6,0,buy\n{T + DAY_MS},1.7,3,\n"
    result, made = imported(tmp_path, "any.csv", text)

    assert trades(made) == [(0, "1.50", "2", Side.BUY), (DAY_MS, "1.7", "3", None)]
    assert (result.accepted, result.days, result.skipped) == (2, 2, {"no_volume": 1})
    assert list(read_data_set(tmp_path / "data" / "x_BTC_USDT_trades")) == [
        store.day_of(T), store.day_of(T + DAY_MS),
    ]  # fmt: skip


def test_a_second_import_of_the_same_file_changes_nothing(tmp_path: Path) -> None:
    text = f"ts_ms,price,qty,side\n{T},1.5,2,buy\n{T},1.5,2,buy\n"
    imported(tmp_path, "a.csv", text)
    result, made = imported(tmp_path, "a.csv", text)

    assert (result.days, result.known) == (0, 1)
    assert len(made) == 2


def test_the_rest_of_a_day_is_added_and_what_overlaps_is_refused(tmp_path: Path) -> None:
    head = "ts_ms,price,qty,side\n"
    imported(tmp_path, "b.csv", f"{head}{T + 100},2,1,buy\n{T + 200},3,1,buy\n")
    _, made = imported(tmp_path, "a.csv", f"{head}{T + 5},1,1,buy\n{T + 99},1.5,1,buy\n")

    assert [str(tick.price) for tick in made] == ["1", "1.5", "2", "3"]
    with pytest.raises(Overlap, match="rows of the same time"):
        imported(tmp_path, "c.csv", f"{head}{T + 150},9,1,buy\n")


@pytest.mark.parametrize(
    ("unit", "text"),
    [("s", f"{T // 1000}.007"), ("us", f"{T + 7}123"), ("ns", f"{T + 7}000999"),
     ("iso", f"{store.day_of(T)} 00:00:00.007"), ("iso", f"{store.day_of(T)}T01:00:00.007+01:00")],
)  # fmt: skip
def test_times_come_in_any_unit(tmp_path: Path, unit: str, text: str) -> None:
    _, made = imported(tmp_path, "t.csv", f"ts_ms,price,qty,side\n{text},1,1,buy\n", time_unit=unit)
    assert [tick.timestamp for tick in made] == [T + 7]


def test_columns_and_sides_have_the_names_of_their_source(tmp_path: Path) -> None:
    text = (
        f"id,price,quantity,transact_time,is_buyer_maker\n1,10,5,{T},true\n2,11,6,{T + 1},false\n"
    )
    columns = {"ts_ms": "transact_time", "qty": "quantity", "side": "is_buyer_maker"}
    _, made = imported(
        tmp_path, "agg.csv", text, columns=columns, sides=SIDES | {"true": "sell", "false": "buy"}
    )
    assert trades(made) == [(0, "10", "5", Side.SELL), (1, "11", "6", Side.BUY)]


def test_a_file_without_header_has_numbers_for_columns(tmp_path: Path) -> None:
    columns = {"ts_ms": "2", "price": "0", "qty": "1"}
    _, made = imported(tmp_path, "n.csv", f"10,5,{T}\n", columns=columns, header=False)
    assert trades(made) == [(0, "10", "5", None)]


@pytest.mark.parametrize(
    ("unit", "size", "volume"), [("contracts", "0.001", "0.200"), ("quote", "10", "20.00000000")]
)
def test_volumes_become_base_currency(tmp_path: Path, unit: str, size: str, volume: str) -> None:
    text = f"ts_ms,price,qty,side\n{T},100,200,buy\n"
    _, made = imported(tmp_path, "v.csv", text, volume_unit=unit, contract_size=Decimal(size))
    assert [str(tick.volume) for tick in made] == [volume]


def test_quotes_and_bars_become_base_currency_by_their_own_prices(tmp_path: Path) -> None:
    text = f"ts_ms,bid,bid_qty,ask,ask_qty\n{T},10,100,20,100\n"
    _, made = imported(tmp_path, "q.csv", text, "x_BTC_USDT_bookticker", volume_unit="quote")
    assert [(str(q.bid_size), str(q.ask_size)) for q in made] == [("10.00000000", "5.00000000")]
    text = f"ts_ms,open,high,low,close,volume\n{T},10,20,10,20,400\n"
    _, made = imported(tmp_path, "k.csv", text, "x_BTC_USDT_klines_1m", volume_unit="quote")
    assert sum(tick.volume or 0 for tick in made) == 20


def test_the_tick_size_of_a_data_set_comes_from_all_of_its_rows(tmp_path: Path) -> None:
    rows = "".join(f"{T + n * DAY_MS},10.50,1,buy\n" for n in range(3))
    _, made = imported(
        tmp_path, "d.csv", f"ts_ms,price,qty,side\n{rows}{T + 3 * DAY_MS},0.125,1,\n"
    )
    assert len(made) == 4
    assert [c.tick_size for c in open_market([tmp_path / "data"], "run").contracts] == [
        Decimal("0.001"),
    ]  # fmt: skip


def test_parquet_of_other_types_is_read(tmp_path: Path) -> None:
    table = pa.table(
        {
            "time": pa.array([T * 1000, T * 1000 + 5000], pa.timestamp("us")),
            "price": pa.array([0.1, 1e-7], pa.float64()),
            "qty": pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal128(10, 2)),
        }
    )
    source = tmp_path / "foreign.parquet"
    pq.write_table(table, source)
    file = describe(tmp_path / "data" / "x_BTC_USDT_trades")
    import_file(source, file, Dialect(columns={"ts_ms": "time"}))

    assert trades(ticks(file.path)) == [(0, "0.1", "1.50", None), (5, "1E-7", "2.25", None)]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'qty' for qty.*--columns qty=NAME"):
        imported(tmp_path, "m.csv", f"ts_ms,price,amount\n{T},1,1\n")


def test_a_changed_file_of_a_data_set_is_refused(tmp_path: Path) -> None:
    imported(tmp_path, "a.csv", f"ts_ms,price,qty,side\n{T},1.5,2,buy\n")
    day = next((tmp_path / "data" / "x_BTC_USDT_trades").glob("*.parquet"))
    day.write_bytes(day.read_bytes() + b" ")

    with pytest.raises(DataError, match="its content has changed"):
        ticks(tmp_path / "data")


@pytest.mark.parametrize(
    "pattern",
    [
        "binance-spot_XRPETH_trades*",
        "binance-usdm_BTCUSDT_bookticker*",
        "mexc-spot_DOGEUSDT_klines*",
    ],
)
def test_real_data_imported_is_the_same_market(tmp_path: Path, pattern: str) -> None:
    (source,) = data(pattern)
    reported = describe(source)
    name = source.name.split(".")[0].replace(reported.symbol.replace("_", ""), reported.symbol)
    target = describe(tmp_path / "data" / name)
    import_file(source, target, Dialect())

    assert said(ticks(tmp_path / "data")) == said(ticks(source))


class Venue:
    """The history of one contract; away as often as a test says."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.asked: list[tuple[int, int]] = []
        self.pages = 0

    async def details(self) -> bytes:
        self._answer()
        rows = [
            {"symbol": symbol, "contractSize": 0.0001, "priceUnit": 0.1, "volUnit": 1,
             "maintenanceMarginRate": 0.001, "maxLeverage": 500, "state": 0}
            for symbol in (BTC, "ETH_USDT")
        ]  # fmt: skip
        return json.dumps({"success": True, "data": rows}).encode()

    async def bars(
        self, symbol: str, start_ms: int, end_ms: int, interval: str = "Min1"
    ) -> tuple[tuple[int, Bar], ...]:
        assert (symbol, interval) == (BTC, "Min1")
        self._answer()
        self.asked.append((start_ms - T, end_ms - T))
        one = Decimal(1)
        return tuple(
            (opened, Bar(one, one, one, one, Decimal(100)))
            for opened in range(start_ms, end_ms + 1, 60_000)
        )

    async def funding_history(self, symbol: str, page: int) -> tuple[FundingSettlement, ...]:
        self.pages += 1
        newest = T + 2 * DAY_MS - (page - 1) * DAY_MS
        return tuple(
            FundingSettlement(
                symbol=symbol, rate=Decimal("1E-5"), settle_time=newest - hours * 3_600_000
            )
            for hours in (0, 8, 16)
        )

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise VenueAwayError("MEXC REST: HTTP 503")


def fetch(folder: Path, venue: Venue, now_ms: int, days: int = 3, symbol: str = BTC) -> Fetcher:
    fetcher = Fetcher(venue, folder, lambda: now_ms)
    until = T + days * DAY_MS
    wanted = Wanted(symbols=(symbol,), step="1m", funding=True, since_ms=T, until_ms=until)
    asyncio.run(fetcher.fetch(wanted))
    return fetcher


def test_fetched_history_is_a_market_with_its_contract_details(tmp_path: Path) -> None:
    noon = T + 2 * DAY_MS + DAY_MS // 2
    fetched = fetch(tmp_path, Venue(), noon).fetched

    assert (fetched.days, fetched.known) == (6, 0)
    bars = read_data_set(tmp_path / "mexc-perp_BTC_USDT_klines_1m")
    assert [(day.rows, day.complete) for day in bars.values()] == [
        (1440, True), (1440, True), (720, False),
    ]  # fmt: skip
    made = ticks(tmp_path)
    assert {tick.volume for tick in made if tick.volume} == {Decimal("0.0025")}
    assert sum(tick.funding_rate is not None for tick in made) == 7
    details = open_market([tmp_path], "run", tmp_path / fetching.INSTRUMENTS).contracts
    assert [(one.symbol, one.generic, str(one.contract_size)) for one in details] == [
        (BTC, False, "0.0001"),
    ]  # fmt: skip


def test_a_second_fetch_asks_for_what_is_missing_only(tmp_path: Path) -> None:
    fetch(tmp_path, Venue(), T + 2 * DAY_MS + 600_000)
    venue = Venue()
    fetched = fetch(tmp_path, venue, T + 3 * DAY_MS).fetched

    assert venue.asked == [(2 * DAY_MS, 3 * DAY_MS - 60_000)]
    assert (fetched.days, fetched.known) == (2, 4)
    days = read_data_set(tmp_path / "mexc-perp_BTC_USDT_klines_1m").values()
    assert [day.complete for day in days] == [True] * 3


def test_an_interrupted_fetch_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    monkeypatch.setattr(fetching, "MOST_BARS", 1440)
    venue = Venue()

    async def breaks(*arguments: object) -> tuple[tuple[int, Bar], ...]:
        venue.away = len(venue.asked) == 1
        return await Venue.bars(venue, *arguments)  # type: ignore[arg-type]

    venue.bars = breaks  # type: ignore[method-assign]
    with pytest.raises(FetchError, match="run the command again"):
        fetch(tmp_path, venue, T + 3 * DAY_MS)
    venue.bars = Venue.bars.__get__(venue)  # type: ignore[method-assign]
    venue.away = 0

    assert fetch(tmp_path, venue, T + 3 * DAY_MS).fetched.known == 1


def test_a_venue_that_is_away_is_asked_again(tmp_path: Path) -> None:
    assert fetch(tmp_path, Venue(away=2), T + DAY_MS, days=1).fetched.days == 2


def test_a_contract_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no contract NOPE_USDT"):
        fetch(tmp_path, Venue(), T + DAY_MS, symbol="NOPE_USDT")


def test_a_refusal_is_reported(tmp_path: Path) -> None:
    class Refusing(Venue):
        async def details(self) -> bytes:
            raise RestError(1001, "contract does not exist")

    with pytest.raises(FetchError, match="code 1001"):
        fetch(tmp_path, Refusing(), T + DAY_MS)


def test_csv_and_data_sets_are_one_market(tmp_path: Path) -> None:
    imported(tmp_path, "a.csv", f"ts_ms,price,qty,side\n{T + 5},1.5,2,buy\n")
    other = tmp_path / "x-spot_ETHUSDT_trades.csv.gz"
    other.write_bytes(gzip.compress(f"ts_ms,price,qty,side\n{T},7,2,buy\n".encode()))

    assert [tick.symbol for tick in ticks(other, tmp_path / "data")] == ["ETH_USDT", BTC]
    assert ticks(tmp_path / "data", other) == ticks(other, tmp_path / "data")


def test_a_folder_with_nothing_in_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a recording nor data sets"):
        open_market([tmp_path], "run")
    with pytest.raises(DataError, match="no such file"):
        open_market([tmp_path / "nothing"], "run")
