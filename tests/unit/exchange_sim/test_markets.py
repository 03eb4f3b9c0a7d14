"""The markets that an exchange puts on: generated from a seed, or recorded."""

from itertools import islice, pairwise, takewhile
from pathlib import Path

import pytest

from services.cdb_ws.data_error import DataError
from services.exchange_sim.markets.market import Fair, Funding, Happening, Print, SimMarket, Touch
from services.exchange_sim.markets.recorded_market import RecordedMarket
from services.exchange_sim.markets.synthetic_market import SyntheticMarket, symbol_names

pytestmark = pytest.mark.unit

MINUTE_MS = 60_000
T = 1_700_000_040_000


def until(market: SimMarket, end_ms: float) -> list[Happening]:
    return list(takewhile(lambda one: one.offset_ms < end_ms, market.happenings()))


def prints(happenings: list[Happening], symbol: int = 0) -> list[Print]:
    return [one for one in happenings if isinstance(one, Print) and one.symbol == symbol]


def test_a_seed_gives_one_market() -> None:
    def first(seed: int) -> list[Happening]:
        return list(islice(SyntheticMarket(seed).happenings(), 5_000))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_it_happens_in_the_order_of_time_from_history_on() -> None:
    happenings = until(SyntheticMarket(1, history_minutes=3), 30_000)

    offsets = [one.offset_ms for one in happenings]
    assert offsets == sorted(offsets)
    assert offsets[0] == -3 * MINUTE_MS
    assert {type(one) for one in happenings} == {Print, Fair, Funding}


@pytest.mark.parametrize("rate", [5.0, 200.0])
def test_takers_come_at_the_rate_and_some_need_several_trades(rate: float) -> None:
    market = SyntheticMarket(1, trades_per_second=rate, history_minutes=0)

    made = [one for one in until(market, 60_000) if isinstance(one, Print)]

    takers = len({one.offset_ms for one in made})
    assert takers == pytest.approx(60 * rate, rel=0.2)
    assert len(made) > 1.1 * takers
    same = [one for one, other in pairwise(made) if one == other]
    assert same or rate < 100, "in a busy market some trades are identical in all fields"


def test_prices_are_whole_ticks_and_move_with_the_speed() -> None:
    def spread(speed: float) -> float:
        market = SyntheticMarket(1, trades_per_second=20, speed=speed, history_minutes=0)
        made = prints(until(market, 10 * MINUTE_MS))
        assert all(one.price % market.contracts[0].tick_size == 0 for one in made)
        assert all(one.contracts >= 1 for one in made)
        prices = [float(one.price) for one in made]
        return max(prices) / min(prices) - 1

    assert 0 < 2 * spread(0.05) < spread(60)


def test_a_restarted_exchange_goes_on_with_its_prices() -> None:
    before = SyntheticMarket(1, speed=30, history_minutes=0, opened_at_minute=600)
    later = SyntheticMarket(1, speed=30, history_minutes=0, opened_at_minute=660)

    last = prints(until(before, 2 * MINUTE_MS))[-1].price
    first = prints(until(later, 10_000))[0].price

    assert abs(first / last - 1) < 0.01


@pytest.mark.parametrize("count", [1, 5, 8])
def test_there_are_names_for_any_number_of_symbols(count: int) -> None:
    names = symbol_names(count)

    assert len(set(names)) == count
    assert SyntheticMarket(1, names).contracts[-1].symbol == names[-1]


@pytest.mark.parametrize(("rate", "speed"), [(0, 1), (1, 0), (-1, 1)])
def test_a_market_without_pace_is_refused(rate: float, speed: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        SyntheticMarket(1, trades_per_second=rate, speed=speed)


def recorded(folder: Path, rows: int = 10, **options: object) -> RecordedMarket:
    """A trade every 20 s, of 0.05 BTC at 60,000 and rising."""
    lines = [
        f"{T + 20_000 * n},{60_000 + n},0.05,{'buy' if n % 2 else 'sell'}" for n in range(rows)
    ]
    trades = folder / "binance-usdm_BTCUSDT_trades.csv"
    trades.write_text("ts_ms,price,qty,side\n" + "\n".join(lines) + "\n", "utf-8")
    quotes = folder / "binance-usdm_BTCUSDT_bookticker.csv"
    quotes.write_text(f"ts_ms,bid,bid_qty,ask,ask_qty\n{T + 1},59999,1,60001,1\n", "utf-8")
    return RecordedMarket([trades, quotes], **options)  # type: ignore[arg-type]


def test_a_record_keeps_prices_sides_and_distances_in_time(tmp_path: Path) -> None:
    market = recorded(tmp_path, history_minutes=1)

    happenings = list(market.happenings())

    made = prints(happenings)
    assert [one.offset_ms for one in made] == [20_000 * n - MINUTE_MS for n in range(10)]
    assert [int(one.price) for one in made] == [60_000 + n for n in range(10)]
    assert [one.buys for one in made] == [bool(n % 2) for n in range(10)]
    assert [one for one in happenings if isinstance(one, Touch)]


def test_a_contract_without_details_gets_a_plausible_size(tmp_path: Path) -> None:
    market = recorded(tmp_path)

    assert str(market.contracts[0].contract_size) == "0.0001"
    assert {one.contracts for one in prints(list(market.happenings()))} == {500}


def test_contract_details_count_where_they_are_given(tmp_path: Path) -> None:
    details = tmp_path / "contracts.json"
    details.write_text('[{"symbol": "BTC_USDT", "contract_size": "0.01"}]', "utf-8")

    market = recorded(tmp_path, instruments=details)

    assert {one.contracts for one in prints(list(market.happenings()))} == {5}


def test_a_record_may_go_faster(tmp_path: Path) -> None:
    made = prints(list(recorded(tmp_path, speed=10, history_minutes=0).happenings()))

    assert [one.offset_ms for one in made] == [2_000 * n for n in range(10)]


def test_a_record_may_begin_again_at_its_end(tmp_path: Path) -> None:
    market = recorded(tmp_path, repeat=True, history_minutes=0)

    made = prints(list(islice(market.happenings(), 33)))

    assert len(made) == 30
    assert [int(one.price) for one in made] == [60_000 + n for n in range(10)] * 3
    offsets = [one.offset_ms for one in made]
    assert offsets == sorted(offsets)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        RecordedMarket([tmp_path / "binance-usdm_BTCUSDT_trades.csv"])
