"""The performance of a run: from its facts, beside buying and holding and doing nothing."""

from decimal import Decimal

import pytest

from services.backtest.events_engine import fresh_run, play
from services.cdb_ws.sources.replay import Replay
from services.kernel.events import Side
from services.reports.performance import DAY_MS, HOUR_MS, measure, performance_of
from services.reports.round_trips import round_trips
from services.reports.run_facts import RunFacts
from tests.unit.backtest.markets import START_MS, bars_file

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    path = bars_file(tmp_path_factory.mktemp("market"), thin=True)
    run = fresh_run("run", {}, at=START_MS, source="replay", seed=1, code_version="test")
    return play(run, Replay([path], "run")).facts()


def test_all_fills_that_close_a_position_are_one_trade(facts: RunFacts) -> None:
    trips = round_trips(facts)
    assert len(trips) < len(facts.trades), "a position was to be closed in parts"
    assert sum(trip.fills for trip in trips) == len(facts.trades)
    assert sum(trip.net for trip in trips) == sum(fill.trade.profit_loss for fill in facts.trades)
    for trip in trips:
        moved = (trip.exit_price - trip.entry_price) * trip.quantity
        gross = moved if trip.side is Side.BUY else -moved
        assert trip.gross == pytest.approx(gross, abs=Decimal("0.000001"))


def test_the_parts_make_the_whole(facts: RunFacts) -> None:
    found = performance_of(facts)
    assert found.long.trades + found.short.trades == found.total.trades > 0
    assert found.long.net + found.short.net == found.total.net
    assert sum(row["trades"] for row in found.exits.values()) == found.total.trades
    assert sum(found.decisions.values()) == len(facts.signals)
    assert found.costs["total"] == sum(v for name, v in found.costs.items() if name != "total")
    assert facts.last is not None
    assert found.costs["fees"] == facts.last.fees
    assert found.account.total_return == pytest.approx(float(facts.last.equity) / 100_000 - 1)
    assert found.account.drawdown is not None
    # The account sees every tick, the curve each minute.
    assert found.account.drawdown.pct <= float(facts.last.max_drawdown_pct) + 1e-12
    assert 0 < found.time_in_market < 1
    assert 0 < found.exposure_mean < found.exposure_max < 0.31


def test_buying_and_holding_pays_two_fees(facts: RunFacts) -> None:
    candles = facts.symbols["BTC_USDT"].candles
    moved = float(candles[-1].close / candles[0].open)
    expected = moved * (1 - 0.0008) ** 2 - 1
    assert performance_of(facts).held.total_return == pytest.approx(expected)


def test_doing_nothing_changes_nothing(facts: RunFacts) -> None:
    nothing = performance_of(facts).nothing
    assert (nothing.total_return, nothing.drawdown, nothing.sharpe) == (0, None, None)


def test_periods_are_utc_days_or_hours_and_the_last_one_may_be_short() -> None:
    hours = [START_MS + hour * HOUR_MS for hour in range(31 * 24)]
    values = [100.0 + hour // 24 for hour in range(31 * 24)]
    daily = measure(hours, values, DAY_MS)
    assert daily.annual_return == pytest.approx(1.3 ** (365 / (31 - 1 / 24)) - 1)
    assert daily.value_at_risk == pytest.approx(0, abs=0.01)
    assert daily.sharpe is not None
    assert measure(hours, values, HOUR_MS).annual_return is None
    assert measure(hours[:19], values[:19], HOUR_MS).sharpe is None


def test_json_has_text_for_money_and_numbers_for_ratios(facts: RunFacts) -> None:
    plain = performance_of(facts).to_json()
    assert Decimal(plain["total"]["net"]) == performance_of(facts).total.net
    assert isinstance(plain["account"]["total_return"], float)
    assert plain["account"]["drawdown"].keys() == {"pct", "start", "bottom", "end"}
