from collections.abc import Callable
from typing import TypeVar

import pytest
from msgspec.structs import replace

from services.kernel import topics
from services.kernel.events import Condition, ConditionName, ConditionPhase, Event
from services.runtime import journal
from services.runtime.bus import Bus
from tests import builders as a
from tests.bus_builders import RUN, clock, run_started, tick
from tests.integration.services.conftest import StartService
from tests.integration.services.service_process import wait_for
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration

BusOf = Callable[[str], Bus]
E = TypeVar("E", bound=Event)


@pytest.fixture
def market(bus_of: BusOf) -> Bus:
    """The market's bus, a run on and the first clock published."""
    bus_of(topics.PAPER_RUNNER).publish([run_started(source="external", speed="1")])
    market = bus_of(topics.WS)
    market.publish([clock(0)])
    return market


def conditions(reader: Bus) -> list[tuple[ConditionName, ConditionPhase]]:
    return [
        (event.name, event.phase)
        for event in journal.read(reader, {topics.CONTROL}, 0, reader.head())
        if isinstance(event, Condition) and event.producer == topics.EXECUTION
    ]


def test_an_approved_order_is_filled_and_becomes_rows(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    contract = a.instrument("BTC_USDT")
    market.publish([_of_run(a.instruments(contract)), tick(1)])
    order = _of_run(a.order("BTC_USDT", quantity="0.01", price="65000.1", at=clock(1).timestamp))
    bus_of(topics.RISK).publish([_of_run(a.decision(order)), order])
    market.publish([clock(1000), tick(2000), tick(2100)])

    wait_for(
        lambda: postgres_server.query("SELECT status FROM orders") == [("FILLED",)],
        f"a filled order in the table; {execution.tail()}",
    )
    assert execution.metric('cdb_order_results_total{reason="",status="FILLED"}') == 1.0
    assert execution.metric("cdb_fill_slippage_bps_count") == 1.0
    assert conditions(market) == []


def test_an_order_that_nobody_approved_is_refused_on_the_record(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    market.publish([tick(1)])
    bus_of(topics.RISK).publish([_of_run(a.order("BTC_USDT", approved_by=None))])

    wait_for(
        lambda: (
            postgres_server.query("SELECT status, reason FROM orders")
            == [("REJECTED", "NOT_APPROVED")]
        ),
        "a refused order in the table",
    )


@pytest.mark.chaos
@pytest.mark.risk
def test_a_database_that_is_away_turns_health_red_forbids_entries_and_clears(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)

    postgres_server.stop()
    bus_of(topics.RISK).publish([_of_run(a.order("BTC_USDT", approved_by=None))])
    try:
        execution.wait_health(503, "PostgreSQL", seconds=10.0)
        wait_for(
            lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
            "the condition",
        )
    finally:
        postgres_server.start()

    wait_for(
        lambda: conditions(market)[-1] == (ConditionName.DATABASE_AWAY, ConditionPhase.CLEARED),
        "the end of the condition",
    )
    market.publish([clock(60_000)])
    execution.wait_health(200)
    wait_for(
        lambda: postgres_server.query("SELECT count(*) FROM orders") == [(1,)], "nothing is lost"
    )


@pytest.mark.usefixtures("market")
def test_a_database_that_is_not_there_yet_is_waited_for_and_then_told(
    start_service: StartService, postgres_server: PostgresServer
):
    postgres_server.stop()
    try:
        execution = start_service(topics.EXECUTION, postgres_server)
        execution.wait_health(503, "PostgreSQL")
        assert execution.terminate() == 0
    finally:
        postgres_server.start()


def _of_run(event: E) -> E:
    return replace(event, run_id=RUN)
