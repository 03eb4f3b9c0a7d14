"""Reading one recorded file: what is taken, what is counted and skipped, what is an error."""

import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.csv_files import SORT_WINDOW_ROWS, CsvRows, price_decimals
from services.cdb_ws.sources.files.file_names import describe

pytestmark = pytest.mark.unit
T = 1_700_000_000_000


def rows_of(path: Path, *lines: str) -> CsvRows:
    path.write_text("\n".join(lines) + "\n")
    return CsvRows(describe(path))


def trades(folder: Path, *lines: str) -> CsvRows:
    return rows_of(folder / "x_BTCUSDT_trades.csv", "ts_ms,price,qty,side", *lines)


def test_rows_come_in_the_order_of_time_and_identical_ones_stay_two(tmp_path: Path) -> None:
    rows = trades(tmp_path, f"{T},1,2,buy", f"{T},1,2,buy", f"{T + 5},3,4,sell")
    assert [(timestamp - T, line) for timestamp, line, _ in rows] == [(0, 2), (0, 3), (5, 4)]
    assert rows.accepted == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{T},0,1,buy", "price_not_positive"),
        (f"{T},-3,1,buy", "price_not_positive"),
        (f"{T},1,-1,buy", "volume_negative"),
        (f"{T},1,0,buy", "no_volume"),
        (f"{T},NaN,1,buy", "not_a_number"),
        (f"{T},Infinity,1,buy", "price_not_finite"),
        (f"{T},1,1,hold", "unknown_side"),
        (f"{T},abc,1,buy", "not_a_number"),
        (f"{T},", "columns_missing"),
        ("yesterday,1,1,buy", "not_a_number"),
    ],
)
def test_an_unusable_row_is_counted_and_skipped(tmp_path: Path, line: str, reason: str) -> None:
    rows = trades(tmp_path, line, f"{T},1,1,buy")
    assert len(list(rows)) == 1
    assert rows.skipped == Counter({reason: 1})


@pytest.mark.parametrize(
    ("kind", "header", "bad", "reason", "good"),
    [
        ("klines_1m", "open,high,low,close,volume", "2,1,3,2,5", "high_below_low", "2,3,1,2,5"),
        ("klines_1m", "open,high,low,close,volume", "2,3,1,2,0", "no_volume", "2,3,1,2,5"),
        ("bookticker", "bid,bid_qty,ask,ask_qty", "3,1,2,1", "crossed_quote", "1,1,2,1"),
        ("funding", "rate", "1.5", "rate_out_of_range", "1E-4"),
    ],
)
def test_each_kind_of_file_has_its_own_rules(
    tmp_path: Path, kind: str, header: str, bad: str, reason: str, good: str
) -> None:
    path = tmp_path / f"x_AUSDT_{kind}.csv"
    rows = rows_of(path, f"ts_ms,{header}", f"{T},{bad}", f"{T},{good}")
    assert len(list(rows)) == 1
    assert rows.skipped == Counter({reason: 1})


def test_a_bitmex_bar_that_opens_outside_its_range_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bitmex_XBTUSD_klines_1m.csv"
    rows = rows_of(path, "ts_ms,open,high,low,close,volume", f"{T},9,8,7,7.5,100")
    assert next(iter(rows))[2][0] == Decimal(9)


def test_missing_columns_are_an_error_on_line_one(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "x_BTCUSDT_trades.csv", "time,price,amount", f"{T},1,1")
    with pytest.raises(DataError, match=r"trades\.csv line 1: column\(s\) ts_ms, qty, side"):
        list(rows)


def test_seconds_for_milliseconds_are_an_error_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: ts_ms 1700000000 is no time"):
        list(trades(tmp_path, "1700000000,1,1,buy"))


def test_a_file_without_one_usable_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable row \(skipped: 2 price_not_positive\)"):
        list(trades(tmp_path, f"{T},0,1,buy", f"{T},0,1,buy"))
    with pytest.raises(DataError, match="it is empty"):
        list(trades(tmp_path))


def test_small_disorder_is_repaired_and_counted(tmp_path: Path) -> None:
    rows = trades(tmp_path, f"{T + 9},1,1,buy", f"{T},1,1,buy", f"{T + 3},1,1,buy")
    assert [timestamp - T for timestamp, _, _ in rows] == [0, 3, 9]
    assert rows.reordered == 2


def test_disorder_beyond_repair_is_an_error_with_its_line(tmp_path: Path) -> None:
    lines = [f"{T + number},1,1,buy" for number in range(SORT_WINDOW_ROWS * 3)]
    lines += [f"{T},1,1,buy"] * SORT_WINDOW_ROWS
    assert len(list(trades(tmp_path, *lines))) == len(lines), "a few late ones are no disorder"
    lines.append(f"{T},1,1,buy")
    with pytest.raises(DataError, match=r"line \d+: .*sort the file by ts_ms"):
        list(trades(tmp_path, *lines))


@pytest.mark.parametrize(("ahead_ms", "skipped"), [(86_400_000, 1), (10_000, 1), (4_000, 0)])
def test_a_row_ahead_of_those_around_it_is_skipped(
    tmp_path: Path, ahead_ms: int, skipped: int
) -> None:
    """It waited at the end of the window, and was handed out a day after all others."""
    count = SORT_WINDOW_ROWS * 5
    lines = [f"{T + number},1,1,buy" for number in range(count)]
    lines.insert(700, f"{T + 700 + ahead_ms},1,1,buy")
    rows = trades(tmp_path, *lines)
    times = [timestamp - T for timestamp, _, _ in rows]
    assert times == sorted(times)
    assert rows.skipped["time_ahead"] == skipped
    assert rows.accepted == len(times) == count + 1 - skipped


def test_a_truncated_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x_BTCUSDT_trades.csv.gz"
    whole = gzip.compress(b"ts_ms,price,qty,side\n" + b"\n".join(
        f"{T + n},{n + 1}.5,1,buy".encode() for n in range(5000)
    ))  # fmt: skip
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read .* damaged"):
        list(CsvRows(describe(path)))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x_BTCUSDT_trades\.csv: there is no such file"):
        list(CsvRows(describe(tmp_path / "x_BTCUSDT_trades.csv")))


@pytest.mark.parametrize(
    ("prices", "decimals"),
    [
        (["61801.10", "61802.20"], 1),
        (["61800", "61810"], 0),
        (["1.50000000"] * 3, 1),
        (["1.1893"] * 97 + ["1.1899999999999999", "1.2147000000000001", "1.2046000000000001"], 4),
        (["0.5"] * 3 + ["1.25e-7", "0.25"], 9),
        (["2.5E-6"], 7),
        (["0.25", "nan", "-0.001", "0.000", "1e999", "abc", "", "1.125"], 3),
        (["nan"], None),
    ],
)  # fmt: skip
def test_the_decimals_of_a_files_prices(
    tmp_path: Path, prices: list[str], decimals: int | None
) -> None:
    rows = trades(tmp_path, *(f"{T},{price},1,buy" for price in prices))
    assert price_decimals(rows) == decimals


def test_one_price_among_many_has_the_decimals(tmp_path: Path) -> None:
    prices = ["10.5"] * 9_999
    for place in (0, 5_000, 9_999):
        listed = [*prices[:place], "0.123456", *prices[place:]]
        rows = trades(tmp_path, *(f"{T},{price},1,buy" for price in listed))
        assert price_decimals(rows) == 6


def test_each_price_of_a_bar_and_of_a_quote_counts_and_no_volume(tmp_path: Path) -> None:
    for place in range(4):
        cells = ["1", "1", "1", "1", "1.23456"]
        cells[place] = "1.01"
        header = "ts_ms,open,high,low,close,volume"
        rows = rows_of(tmp_path / "x_A_klines_1m.csv", header, ",".join([str(T), *cells]))
        assert price_decimals(rows) == 2
    header = "ts_ms,bid,bid_qty,ask,ask_qty"
    for cells_text in ("1.01,1.2345,2,1.2345", "1,1.2345,1.01,1.2345"):
        rows = rows_of(tmp_path / "x_A_bookticker.csv", header, f"{T},{cells_text}")
        assert price_decimals(rows) == 2
    assert price_decimals(rows_of(tmp_path / "x_A_funding.csv", "ts_ms,rate", f"{T},0.01")) is None


def test_rows_that_are_too_short_have_no_price(tmp_path: Path) -> None:
    assert price_decimals(trades(tmp_path, f"{T}", f"{T},1.5,1,buy")) == 1
