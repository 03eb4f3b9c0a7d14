from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from services.kernel.events import (
    Alert,
    AnyEvent,
    ConditionName,
    PortfolioSnapshot,
    RunEnded,
    RunStarted,
    TradingState,
    topics,
)
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from services.runtime.service.http_query import get_json
from tests import builders as a
from tests.bus_builders import clock, condition, tick
from tests.deadline import wait_until
from tests.integration.services.conftest import StartService, writer_variables
from tests.integration.services.service_process import ServiceProcess
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration

BusOf = Callable[[str], Bus]
MINUTE_MS = 60_000


def published(reader: Bus, kind: type[Any]) -> list[Any]:
    events = journal.read(reader, topics.TOPICS, 0, reader.head())
    return [event for event in events if isinstance(event, kind)]


def wait_for_run(reader: Bus, number: int = 1) -> RunStarted:
    """The run_started with that number."""
    runs = wait_until(
        lambda: len(found := published(reader, RunStarted)) >= number and found,
        f"run_started number {number}",
    )
    assert len(runs) == number
    return runs[-1]


def play(bus_of: BusOf, run: RunStarted, *events: AnyEvent) -> None:
    """Publish events as their producers would, each as part of the run."""
    for event in events:
        bus_of(event.producer).publish([replace(event, run_id=run.run_id)])


def summary(runner: ServiceProcess) -> dict[str, Any]:
    return get_json(f"{runner.url}/api/summary").body


def wait_for_seq(runner: ServiceProcess, seq: int) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        runner.require_running()
        found = summary(runner)
        return found if found.get("last_seq", 0) >= seq else None

    return wait_until(reached, lambda: f"the summary of event {seq}; {runner.tail()}")


def test_a_run_from_its_start_to_its_end(
    start_service: StartService, bus_of: BusOf, postgres_server: PostgresServer
):
    reader = bus_of("operator")
    runner = start_service(topics.PAPER_RUNNER, postgres_server, ACCOUNT_EQUITY="5000")

    run = wait_for_run(reader)
    assert run.settings["ACCOUNT_EQUITY"] == "5000"
    assert run.seq == 1
    play(bus_of, run, clock(0), tick(1), a.result("BTC_USDT", quantity="0.01", price=65_000))
    play(bus_of, run, clock(MINUTE_MS))
    runner.wait_health(200)

    first, second = wait_until(
        lambda: len(found := published(reader, PortfolioSnapshot)) == 2 and found, "two snapshots"
    )
    assert (first.equity, second.positions[0].symbol) == (5000, "BTC_USDT")
    shown = wait_for_seq(runner, second.seq)
    assert shown["run_id"] == run.run_id
    assert shown["funnel"]["fills"] == 1
    assert runner.metric("cdb_equity_quote") == float(second.equity)

    play(bus_of, run, replace(condition(topics.WS), name=ConditionName.SOURCE_ENDED))
    (ended,) = wait_until(lambda: published(reader, RunEnded), "run_ended")
    assert ended.reason.startswith("DATA_OVER")
    runner.wait_health(200)
    assert runner.terminate() == 0


def test_the_summary_has_the_account_and_what_came_from_outside(
    start_service: StartService, bus_of: BusOf, postgres_server: PostgresServer
):
    reader = bus_of("operator")
    runner = start_service(topics.PAPER_RUNNER, postgres_server)
    runner.wait_answering()
    run = wait_for_run(reader)
    play(bus_of, run, clock(0), tick(1), a.result("BTC_USDT", quantity="0.01", price=65_000))
    reader.post(topics.ALERTS, '{"message": "<script>alert(1)</script>", "level": "warning"}')
    wait_until(lambda: summary(runner).get("recent", {}).get("alerts"), "the alert")

    shown = summary(runner)

    assert shown["positions"][0]["symbol"] == "BTC_USDT"
    assert shown["equity_start"] == "100000"
    assert "<script>" in str(shown["recent"]["alerts"][0]), "as it came: a page escapes it"


def test_a_restart_with_the_same_settings_continues_the_run(
    start_service: StartService, bus_of: BusOf, postgres_server: PostgresServer
):
    reader = bus_of("operator")
    runner = start_service(topics.PAPER_RUNNER, postgres_server)
    run = wait_for_run(reader)
    play(bus_of, run, clock(0), tick(1))
    runner.wait_health(200)
    runner.kill()

    play(bus_of, run, tick(2), clock(MINUTE_MS))
    successor = start_service(topics.PAPER_RUNNER, postgres_server)
    successor.wait_health(200)

    assert wait_for_seq(successor, reader.head())["ticks"] == 2
    assert wait_for_run(reader).run_id == run.run_id
    wait_until(lambda: len(published(reader, PortfolioSnapshot)) == 2, "one snapshot per minute")


@pytest.mark.risk
def test_changed_settings_start_a_new_run_on_the_same_account(
    start_service: StartService, bus_of: BusOf, postgres_server: PostgresServer
):
    reader = bus_of("operator")
    runner = start_service(topics.PAPER_RUNNER, postgres_server)
    run = wait_for_run(reader)
    play(
        bus_of,
        run,
        clock(0),
        tick(1),
        a.result("BTC_USDT", quantity="0.01", price=65_000, fees=10),
        a.trading_state(TradingState.HALTED),
    )
    wait_for_seq(runner, reader.head())
    assert runner.terminate() == 0

    successor = start_service(topics.PAPER_RUNNER, postgres_server, MAX_LEVERAGE="2")
    (ended,) = wait_until(lambda: published(reader, RunEnded), "the end of the first run")
    successor.wait_health(503, "has not come to the end of the last run yet")
    for stage in topics.STAGE_ORDER:
        bus_of(stage).publish([], cursor=ended.seq)
    second = wait_for_run(reader, 2)

    assert ended.reason == "SUPERSEDED: changed MAX_LEVERAGE"
    assert second.settings["MAX_LEVERAGE"] == "2"
    assert second.account.cash == 99_990
    assert second.account.positions[0].symbol == "BTC_USDT"
    assert second.account.halted is not None


@pytest.mark.chaos
@pytest.mark.parametrize("damaged", [False, True], ids=["", "and the snapshot is damaged"])
def test_what_the_journal_no_longer_has_is_read_from_postgresql(
    start_service: StartService,
    bus_of: BusOf,
    open_redis: RedisServer,
    postgres_server: PostgresServer,
    damaged: bool,
):
    reader = bus_of("operator")
    writer = start_service(
        topics.DB_WRITER, postgres_server, **writer_variables(open_redis, postgres_server)
    )
    runner = start_service(topics.PAPER_RUNNER, postgres_server)
    run = wait_for_run(reader)
    play(bus_of, run, clock(0), tick(1))
    wait_for_seq(runner, reader.head())
    runner.kill()

    fill = a.result("BTC_USDT", quantity="0.01", price=65_000, fees=10)
    play(bus_of, run, tick(2), fill, a.signal("BTC_USDT"), clock(1000), tick(1500))
    wait_until(lambda: writer.status().get("committed_seq") == reader.head(), "all written down")
    trim_everything(bus_of, open_redis)
    with pytest.raises(journal.JournalTrimmed):
        list(journal.read(reader, topics.TOPICS, 0, reader.head()))
    play(bus_of, run, tick(1600), clock(MINUTE_MS))
    if damaged:
        with open_redis.admin() as admin:
            admin.hset(f"cdb:snapshot:{topics.PAPER_RUNNER}", "state", b"{}")

    successor = start_service(topics.PAPER_RUNNER, postgres_server)
    successor.wait_health(200)

    shown = wait_for_seq(successor, reader.head() - 1)
    assert shown["run_id"] == run.run_id
    assert shown["ticks"] == 4
    assert shown["funnel"]["signals"] == 1
    assert shown["funnel"]["fills"] == 1
    assert shown["fees"] == "10"


def trim_everything(bus_of: BusOf, server: RedisServer) -> None:
    """As when every other service has a snapshot at the head and every producer trims."""
    with server.admin() as admin:
        for service in (*topics.STAGE_ORDER, topics.WS):
            admin.hset(f"cdb:snapshot:{service}", "cursor", bus_of("operator").head())
    for service in topics.SERVICES:
        if service not in (topics.PAPER_RUNNER, topics.DB_WRITER):
            journal.trim(bus_of(service))


@pytest.mark.slow
def test_the_clock_that_stops_is_alerted_once_and_cleared(
    start_service: StartService, bus_of: BusOf, postgres_server: PostgresServer
):
    reader = bus_of("operator")
    runner = start_service(topics.PAPER_RUNNER, postgres_server)
    run = wait_for_run(reader)
    play(bus_of, run, clock(0))
    runner.wait_health(503, "no clock for")
    wait_until(lambda: _alerts(reader) == ["BEGAN"], "the alert")

    play(bus_of, run, clock(1000))

    wait_until(lambda: _alerts(reader) == ["BEGAN", "CLEARED"], "the end of the alert")
    runner.wait_health(200)


def _alerts(reader: Bus) -> list[str]:
    return [event.phase for event in published(reader, Alert) if event.code == "CLOCK_STOPPED"]
