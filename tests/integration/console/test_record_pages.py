"""Each screen's data, read from one recorded run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.console.pages import create_app
from services.console.reader import RecordReader
from services.console.sources import DeskSources
from services.console.watch import Watch
from services.runtime.bus.redis.address import RedisAddress
from tests.integration.cli.conftest import market_file
from tests.recorded_home import Recorded, recorded_in

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


MOVES = {20: 60.0, 45: -60.0, 70: 60.0, 95: -60.0}
"""Two moves within an hour: with one trade an hour, the second entry is refused."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("console")
    with recorded_in(
        folder, market_file(folder, moves=MOVES), "--set", "MAX_TRADES_PER_HOUR=1"
    ) as record:
        yield record


@pytest.fixture(scope="module")
def client(recorded: Recorded) -> Iterator[FlaskClient]:
    bus = RedisAddress("127.0.0.1", 1, "operator", "x")
    sources = DeskSources("a test", bus, recorded.address, {}, "token")
    reader = RecordReader(recorded.address)
    yield create_app(sources, Watch({}, lambda _v: None, lambda: False), reader).test_client()
    reader.close()


def answered(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.data
    return answer.json


def test_candles_are_those_of_the_file(
    client: FlaskClient, recorded: Recorded, tmp_path: Path
) -> None:
    run = recorded.run["run_id"]
    bars = market_file(tmp_path, moves=MOVES).read_text("ascii").splitlines()[1:]

    found = answered(client, f"/api/runs/{run}/chart/BTC_USDT")

    assert answered(client, f"/api/runs/{run}/symbols") == {"symbols": ["BTC_USDT"]}
    assert found["is_whole"] is True
    assert len(found["candles"]) == len(bars)
    for candle, bar in zip(found["candles"], bars, strict=True):
        assert candle == [float(figure) for figure in bar.split(",")]
    hours = answered(client, f"/api/runs/{run}/chart/BTC_USDT?interval=1h")["candles"]
    assert sum(candle[5] for candle in hours) == 500 * len(bars)


def test_every_fill_and_every_refused_entry_is_on_the_chart(
    client: FlaskClient, recorded: Recorded
) -> None:
    found = answered(client, f"/api/runs/{recorded.run['run_id']}/chart/BTC_USDT")

    ((fills,),) = recorded.query(
        "SELECT count(*) FROM events WHERE type = 'order_result' AND body->>'status' = 'FILLED'"
    )
    ((refused,),) = recorded.query(
        "SELECT count(*) FROM risk_decisions WHERE verdict = 'REJECTED' AND NOT reduce_only"
    )
    assert len(found["fills"]) == fills > 0
    assert found["refused_total"] == len(found["refused"]) == refused > 0
    assert all(one["reason"] for one in found["refused"])
    openings = [fill for fill in found["fills"] if not fill["reduce_only"]]
    assert len(found["stops"]) == len(openings) > 0


def test_an_unknown_interval_is_refused_with_the_known_ones(
    client: FlaskClient, recorded: Recorded
) -> None:
    answer = client.get(f"/api/runs/{recorded.run['run_id']}/chart/BTC_USDT?interval=7m")

    assert answer.status_code == 400
    assert "15m" in answer.json["error"]  # type: ignore[index]


def test_the_sums_of_why_are_those_of_the_command(client: FlaskClient, recorded: Recorded) -> None:
    found = answered(client, f"/api/runs/{recorded.run['run_id']}/why")

    assert found["adds_up"] is True
    assert found["funnel"] == {
        name: value for name, value in recorded.result("why").items() if name in found["funnel"]
    }
    shown = {row["reason"]: row["total"] for row in found["refusals"]["reasons"]}
    assert shown == found["funnel"]["entries"]["rejected"]
    assert all(sum(row["counts"]) == row["total"] for row in found["refusals"]["reasons"])


def test_trades_orders_and_events_lead_to_explanations(
    client: FlaskClient, recorded: Recorded
) -> None:
    run = recorded.run["run_id"]

    trades = answered(client, f"/api/runs/{run}/trades")["rows"]
    orders = answered(client, f"/api/runs/{run}/orders")["rows"]
    events = answered(client, f"/api/runs/{run}/events?type=risk_decision")["rows"]

    assert len(trades) == recorded.run["trades"] > 0
    for identity in (trades[0]["trade_id"], orders[0]["order_id"], events[0]["event_id"]):
        assert answered(client, f"/api/explain/{identity}")["children"]
    assert client.get("/api/explain/nothing-like-it").status_code == 404


def test_events_are_read_page_by_page_without_a_gap(
    client: FlaskClient, recorded: Recorded
) -> None:
    run = recorded.run["run_id"]
    seen: list[int] = []
    before = ""
    while rows := answered(client, f"/api/runs/{run}/events{before}")["rows"]:
        seen += [row["seq"] for row in rows]
        before = f"?before={rows[-1]['seq']}"

    ((total,),) = recorded.query(
        "SELECT count(*) FROM events WHERE run_id = %s"
        " AND type NOT IN ('tick_batch', 'portfolio_snapshot', 'record_head')",
        run,
    )
    assert len(seen) == len(set(seen)) == total
    assert seen == sorted(seen, reverse=True)


def test_a_text_is_searched_as_it_is_written(client: FlaskClient, recorded: Recorded) -> None:
    run = recorded.run["run_id"]

    assert answered(client, f"/api/runs/{run}/events?text=BTC_USDT")["rows"]
    assert not answered(client, f"/api/runs/{run}/events?text=BTC%25USDT")["rows"]


def test_the_equity_curve_ends_with_the_run_s_equity(
    client: FlaskClient, recorded: Recorded
) -> None:
    found = answered(client, f"/api/runs/{recorded.run['run_id']}/equity")

    assert len(found["at"]) == len(found["equity"]) == len(found["drawdown"]) > 2
    assert found["equity"][-1] == pytest.approx(float(recorded.run["equity_end"]))
