"""Recorded files as one market."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.csv_files import SORT_WINDOW_ROWS, digest
from services.cdb_ws.sources.replay import Replay
from services.kernel.events import (
    BarPoint,
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    Side,
)
from services.kernel.events.codec import encode
from services.kernel.events.ids import make_id

pytestmark = pytest.mark.unit
T = 1_700_000_000_000
RUN = "run"


def write(path: Path, header: str, *lines: str) -> Path:
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def trades(folder: Path, *lines: str, name: str = "x-spot_BTCUSDT_trades.csv") -> Path:
    return write(folder / name, "ts_ms,price,qty,side", *lines)


def events(paths: Sequence[Path], after: int = 0, instruments: Path | None = None) -> list[Event]:
    return [event for _, event in Replay(paths, RUN, instruments).steps(after)]


def ticks(paths: Sequence[Path], instruments: Path | None = None) -> list[MarketData]:
    return [e for e in events(paths, instruments=instruments) if isinstance(e, MarketData)]


def described(folder: Path, content: str) -> Path:
    path = folder / "details.json"
    path.write_text(content)
    return path


def test_details_come_first_then_a_clock_before_its_ticks(tmp_path: Path) -> None:
    made = events([trades(tmp_path, f"{T + 10},100.5,0.25,buy", f"{T + 20},100.4,1,sell")])
    assert [type(event) for event in made] == [Instruments, Clock, MarketData, MarketData]
    details = made[0].instruments[0]
    assert (details.symbol, details.tick_size, details.generic) == (
        "BTC_USDT",
        Decimal("0.1"),
        True,
    )
    first = made[2]
    assert (first.price, first.volume, first.side) == (Decimal("100.5"), Decimal("0.25"), Side.BUY)
    assert (first.kind, first.source, first.producer) == (MarketDataKind.TRADE, "x-spot", "cdb_ws")


def test_a_ticks_id_is_made_of_run_source_symbol_file_and_row(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},1.5,1,buy", f"{T},1.5,1,buy")
    ids = [tick.event_id for tick in ticks([path])]
    assert ids == [make_id(RUN, "x-spot", "BTC_USDT", digest(path), line, 0) for line in (2, 3)]


def test_files_are_merged_by_time_in_an_order_of_their_own(tmp_path: Path) -> None:
    btc = trades(tmp_path, f"{T},1,1,buy", f"{T + 2},2,1,buy")
    eth = trades(tmp_path, f"{T},3,1,buy", f"{T + 1},4,1,buy", name="x-spot_ETHUSDT_trades.csv")
    header = "ts_ms,bid,bid_qty,ask,ask_qty"
    quotes = write(tmp_path / "x-spot_BTCUSDT_bookticker.csv", header, f"{T},0.9,1,1.1,2")
    files = [eth, quotes, btc]
    seen = [(t.symbol, t.kind.value, t.timestamp - T) for t in ticks(files)]
    assert seen == [
        ("BTC_USDT", "quote", 0), ("BTC_USDT", "trade", 0), ("ETH_USDT", "trade", 0),
        ("ETH_USDT", "trade", 1), ("BTC_USDT", "trade", 2),
    ]  # fmt: skip
    assert events(files) == events([btc, eth, quotes])


def test_a_restart_goes_on_behind_any_step(tmp_path: Path) -> None:
    path = trades(tmp_path, *(f"{T + n * 700},{n + 1}.5,1,buy" for n in range(50)))
    steps = list(Replay([path], RUN).steps(0))
    for cursor, _ in steps:
        assert list(Replay([path], RUN).steps(cursor)) == steps[cursor:]
    assert [cursor for cursor, _ in steps] == list(range(1, len(steps) + 1))


def test_two_readings_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    path = trades(tmp_path, *(f"{T + n * 333},{n + 1}.25,0.5,sell" for n in range(200)))
    assert [encode(e) for e in events([path])] == [encode(e) for e in events([path])]


def test_contracts_become_base_quantity(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},0.000012553,28,buy", name="mexc-perp_PEPE_USDT_trades.csv")
    details = described(tmp_path, '[{"symbol": "PEPE_USDT", "contract_size": 10000000}]')
    assert [t.volume for t in ticks([path], details)] == [Decimal(280_000_000)]
    (contract,) = events([path], instruments=details)[0].instruments
    assert (contract.lot_size, contract.tick_size) == (10_000_000, Decimal("1e-9"))


def test_a_contract_size_that_the_data_states_needs_no_details(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},0.515,136,buy", name="mexc-perp_THE_USDT_trades.csv")
    (contract,) = events([path])[0].instruments
    assert [t.volume for t in ticks([path])] == [136]
    assert (contract.contract_size, contract.lot_size, contract.inverse) == (1, 1, False)


def test_inverse_contracts_of_one_dollar_become_base_quantity(tmp_path: Path) -> None:
    header = "ts_ms,open,high,low,close,volume"
    path = write(tmp_path / "bitmex_XBTUSD_klines_1m.csv", header, f"{T},8000,8000,8000,8000,32000")
    assert [t.volume for t in ticks([path])] == [Decimal(1)] * 4
    (contract,) = events([path])[0].instruments
    assert (contract.inverse, contract.generic) == (True, True)
    assert (contract.lot_size, contract.contract_size) == (1, 1)


@pytest.mark.parametrize(
    ("symbol", "size"), [("BTCUSD", 100), ("ETHUSD", 10), ("XRPUSD", 10)]
)  # fmt: skip
def test_coin_margined_contracts_become_base_quantity(
    tmp_path: Path, symbol: str, size: int
) -> None:
    path = trades(tmp_path, f"{T},20000,4,buy", name=f"binance-coinm_{symbol}_trades.csv")
    (contract,) = events([path])[0].instruments
    assert [t.volume for t in ticks([path])] == [Decimal(4 * size) / 20_000]
    assert (contract.inverse, contract.contract_size, contract.lot_size) == (True, size, size)


def test_quoted_sizes_are_contracts_too(tmp_path: Path) -> None:
    header = "ts_ms,bid,bid_qty,ask,ask_qty"
    path = tmp_path / "binance-coinm_BTCUSD_bookticker.csv"
    (quote,) = ticks([write(path, header, f"{T},20000,4,25000,8")])
    assert (quote.bid_size, quote.ask_size) == (Decimal("0.02"), Decimal("0.032"))


def test_a_coin_margined_rate_alone_has_the_contract_of_its_venue(tmp_path: Path) -> None:
    path = write(tmp_path / "binance-coinm_BTCUSD_funding.csv", "ts_ms,rate", f"{T},0.0001")
    (contract,) = events([path])[0].instruments
    assert (contract.inverse, contract.contract_size) == (True, 100)


@pytest.mark.parametrize("venue", ["binance-usdm", "binance-spot", "mexc-spot", "kraken-spot"])
def test_base_quantity_stays_what_it_is(tmp_path: Path, venue: str) -> None:
    path = trades(tmp_path, f"{T},20000,4,buy", name=f"{venue}_BTCUSD_trades.csv")
    details = described(tmp_path, '[{"symbol": "BTCUSD", "contract_size": 10}]')
    assert [t.volume for t in ticks([path])] == [4]
    assert [t.volume for t in ticks([path], details)] == [4]


@pytest.mark.parametrize(
    ("entry", "volume"),
    [('"contract_size": 1', 400), ('"contract_size": "0.01"', 4),
     ('"contract_size": 10, "inverse": true', Decimal("0.5"))],
)  # fmt: skip
def test_what_an_unknown_venue_counts_comes_from_the_details(
    tmp_path: Path, entry: str, volume: Decimal
) -> None:
    path = trades(tmp_path, f"{T},8000,400,buy", name="okx-swap_BTCUSD_trades.csv")
    details = described(tmp_path, f'[{{"symbol": "BTCUSD", {entry}}}]')
    (contract,) = events([path], instruments=details)[0].instruments
    assert [t.volume for t in ticks([path], details)] == [volume]
    assert (contract.generic, contract.lot_size) == (False, contract.contract_size)


@pytest.mark.parametrize(
    ("name", "entry", "complaint"),
    [
        ("okx-swap_BTCUSDT_trades.csv", None, "okx-swap BTC_USDT counts is not known; .*spot"),
        ("kraken_BTCUSD_trades.csv", None, "counts is not known"),
        ("spotty_BTCUSD_trades.csv", None, "counts is not known"),
        ("bitmex_ETHUSD_trades.csv", None, "counts is not known"),
        ("bitmexico_XBTUSD_trades.csv", None, "counts is not known"),
        ("binance-coinm_BTCUSDT_trades.csv", None, "counts is not known"),
        ("mexc-perp_PEPE_USDT_trades.csv", None, "contract size of PEPE_USDT is not known"),
        ("mexc-perp_PEPE_USDT_trades.csv", '{"symbol": "PEPE_USDT"}', "a lot of 0.00000001 is not"),
        ("okx_BTCUSD_trades.csv", '{"symbol": "BTCUSD"}', "a lot of 0.00000001 is not"),
        ("binance-coinm_BTCUSD_trades.csv", '{"symbol": "BTCUSD", "inverse": true}',
         "contracts of BTC_USD are inverse of 100, and --instruments has inverse of 1"),
        ("binance-coinm_BTCUSD_trades.csv", '{"symbol": "BTCUSD", "contract_size": 100}',
         "inverse of 100, and --instruments has linear of 100"),
    ],
)  # fmt: skip
def test_what_would_be_guessed_is_refused_with_the_remedy(
    tmp_path: Path, name: str, entry: str | None, complaint: str
) -> None:
    path = trades(tmp_path, f"{T},8000,400,buy", name=name)
    details = None if entry is None else described(tmp_path, f"[{entry}]")
    with pytest.raises(DataError, match=complaint) as refused:
        Replay([path], RUN, details)
    assert "give --instruments FILE with the symbol's contract_size" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rates_of_an_unknown_venue_have_no_quantity_that_could_be_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "okx_BTCUSD_funding.csv", "ts_ms,rate", f"{T},0.0001")
    assert len(ticks([path])) == 1


def test_details_from_mexc_are_taken_as_they_are(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},84000.1,10,buy", name="mexc-perp_BTC_USDT_trades.csv")
    details = tmp_path / "detail.json"
    details.write_text(
        '{"success": true, "data": [{"symbol": "BTC_USDT", "contractSize": 0.0001,'
        ' "priceUnit": 0.1, "volUnit": 1, "maintenanceMarginRate": 0.001,'
        ' "maxLeverage": 500, "state": 0}]}'
    )
    made = events([path], instruments=details)
    assert made[0].instruments[0].generic is False
    assert made[-1].volume == Decimal("0.001")


def test_details_without_a_tick_take_it_from_the_prices(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},0.5,1,buy", f"{T},0.0625,1,buy")
    for entry, tick_size in (("", "0.0001"), (', "tick_size": "0.5"', "0.5")):
        details = described(tmp_path, f'[{{"symbol": "BTCUSDT"{entry}}}]')
        (contract,) = events([path], instruments=details)[0].instruments
        assert contract.tick_size == Decimal(tick_size)


def test_the_tick_size_comes_from_all_rows_of_all_files_of_a_symbol(tmp_path: Path) -> None:
    rows = [f"{T + number},10.5,1,buy" for number in range(5_000)]
    path = trades(tmp_path, *rows, f"{T + 5_000},0.10234,1,buy")
    assert [c.tick_size for c in Replay([path], RUN).contracts] == [Decimal("0.00001")]
    header = "ts_ms,bid,bid_qty,ask,ask_qty"
    quotes = write(tmp_path / "x-spot_BTCUSDT_bookticker.csv", header, f"{T},1,1,1.1234567,2")
    rates = write(tmp_path / "x-spot_BTCUSDT_funding.csv", "ts_ms,rate", f"{T},0.123456789")
    for files in ([path, quotes, rates], [quotes, path]):
        assert [c.tick_size for c in Replay(files, RUN).contracts] == [Decimal("1e-7")]
    assert [c.tick_size for c in Replay([rates], RUN).contracts] == [Decimal("0.01")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("[1", "cannot be read"), ('[{"tick_size": 1}]', "no symbol"),
     ('[{"symbol": "A_USDT", "size": 1}]', r"unknown field\(s\) size"),
     ('[{"symbol": "A_USDT", "tick_size": "x"}]', "A_USDT is not usable"),
     ('[{"symbol": "A_USDT", "tick_size": 0}]', "tick_size 0 is not above 0"),
     ('[{"symbol": "A_USDT", "lot_size": -1}]', "lot_size -1 is not above 0"),
     ('[{"symbol": "A_USDT", "contract_size": 0}]', "contract_size 0 is not above 0"),
     ('[{"symbol": "A_USDT", "contract_size": "nan"}]', "A_USDT is not usable"),
     ('[{"symbol": "A_USDT", "contract_size": 100, "lot_size": 1}]',
      "lot_size 1 is not a whole number of contracts of 100"),
     ('[{"symbol": "A_USDT", "contract_size": 100, "lot_size": 250}]', "lot_size 250 is not")],
)  # fmt: skip
def test_unusable_details_are_an_error(tmp_path: Path, content: str, complaint: str) -> None:
    path = trades(tmp_path, f"{T},1,1,buy")
    (tmp_path / "details.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        Replay([path], RUN, tmp_path / "details.json")


def test_bars_become_ticks_with_the_volume_of_the_bar(tmp_path: Path) -> None:
    header = "ts_ms,open,high,low,close,volume"
    path = write(
        tmp_path / "x-spot_BTCUSDT_klines_1m.csv", header,
        f"{T},10,12,9,11,8", f"{T + 30_000},1,1,1,1,5", f"{T + 60_000},11,11,11,11,0",
    )  # fmt: skip
    replay = Replay([path], RUN)
    made = [e for _, e in replay.steps(0) if isinstance(e, MarketData)]
    assert [(t.timestamp - T, str(t.price), str(t.volume)) for t in made] == [
        (0, "10", "2"), (15_000, "9", "2"), (30_000, "12", "2"), (45_000, "11", "2"),
    ]  # fmt: skip
    assert {t.source for t in made} == {"x-spot:klines_1m:synthetic"}
    assert [t.bar for t in made] == [BarPoint.OPEN] + [BarPoint.INSIDE] * 3
    assert replay.counts() == {
        "files": [
            {"file": path.name, "accepted": 1, "reordered": 0,
             "skipped": {"no_volume": 1, "overlapping_bar": 1}},
        ]
    }  # fmt: skip


def test_a_settled_rate_is_reported_just_before_its_settlement(tmp_path: Path) -> None:
    settled = T // 28_800_000 * 28_800_000
    path = write(tmp_path / "x-spot_BTCUSDT_funding.csv", "ts_ms,rate", f"{settled + 17},1E-8")
    rate = ticks([path])[0]
    assert (rate.kind, rate.funding_rate) == (MarketDataKind.FUNDING, Decimal("0.00000001"))
    assert (rate.next_funding_time, rate.timestamp) == (settled, settled - 1000)


def test_no_file_or_the_same_file_twice_is_an_error(tmp_path: Path) -> None:
    path = trades(tmp_path, f"{T},1,1,buy")
    with pytest.raises(DataError, match="given twice"):
        Replay([path, path], RUN)
    with pytest.raises(DataError, match="has no file"):
        Replay([], RUN)


def test_a_row_older_than_the_stale_timeout_is_left_out_and_put_aside_once(tmp_path: Path) -> None:
    # Given a second symbol's file whose rows are late beyond the sort window
    count = SORT_WINDOW_ROWS * 3
    lines = [f"{T + number * 100},1,1,buy" for number in range(count)]
    newest = T + (count - 1) * 100
    released = T + (count - SORT_WINDOW_ROWS - 1) * 100
    lines += [f"{released - 10_001},2,1,buy", f"{released - 10_000},3,1,buy"]
    path = trades(tmp_path, *lines)
    refused: list[MarketData] = []

    def steps(after: int) -> list[tuple[int, Event]]:
        replay = Replay([path], RUN, behind_ms=10_000, refuse=refused.append)
        return list(replay.steps(after))

    # When
    every = steps(0)
    made = [event for _, event in every if isinstance(event, MarketData)]
    # Then the one is left out, the other only late
    assert [tick.price for tick in refused] == [2]
    assert [tick.price for tick in made if tick.price != 1] == [3]
    assert made[-1].timestamp == newest
    # And a restart behind it does not put it aside again, a restart before it does
    late = next(
        place for place, event in every if isinstance(event, MarketData) and event.price == 3
    )
    assert steps(late) == every[late:]
    assert len(refused) == 1
    steps(late - 1)
    assert len(refused) == 2


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    lines = [f"{T + number * 1000},1,1,buy" for number in range(SORT_WINDOW_ROWS * 3)]
    replay = Replay([trades(tmp_path, *lines, f"{T},2,1,buy")], RUN)
    list(replay.steps())
    assert [(outcome, count) for _, outcome, count in replay.rows()] == [
        ("accepted", len(lines)),
        ("time_behind", 1),
    ]
