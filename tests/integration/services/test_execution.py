"""cdb_execution as a process: fills and refusals become rows, whatever is away or crashes."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from services.cdb_execution.config import UNWRITTEN_LIMIT_S
from services.kernel.events import (
    Alert,
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    OrderResult,
    Side,
    topics,
)
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from tests import builders as a
from tests.bus_builders import RUN, clock, run_started, tick
from tests.deadline import wait_until
from tests.integration.services.conftest import StartService, open_bus
from tests.journal_recorder import JournalRecorder
from tests.servers import PostgresServer, RedisServer, needs_signals

pytestmark = pytest.mark.integration

BTC = "BTC_USDT"
BusOf = Callable[[str], Bus]
E = TypeVar("E", bound=Event)


@pytest.fixture
def recorder(open_redis: RedisServer, postgres_server: PostgresServer) -> Iterator[JournalRecorder]:
    """Records what is published, while it runs."""
    made = JournalRecorder(open_redis, postgres_server)
    yield made
    made.close()


@pytest.fixture
def market(bus_of: BusOf, recorder: JournalRecorder) -> Bus:
    """The market's bus, a run on and the first clock published; all is recorded at once."""
    recorder.start()
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


def results(reader: Bus) -> list[OrderResult]:
    return [
        event
        for event in journal.read(reader, {topics.ORDER_RESULTS}, 0, reader.head())
        if isinstance(event, OrderResult)
    ]


def book(at: int, asks: list[tuple[str, str]], bid: str = "64999") -> MarketData:
    """A book: asks as given, and depth enough on the other side."""
    return _of_run(a.depth(BTC, [(bid, 10)], asks, at=clock(at).timestamp))


def approved(at: int, quantity: str, side: Side = Side.BUY, **fields: Any) -> list[Event]:
    """An order at 65,000 and its approval before it, as risk publishes them."""
    order = _of_run(a.order(BTC, side, quantity, 65_000, clock(at).timestamp, **fields))
    return [_of_run(a.decision(order)), order]


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

    wait_until(
        lambda: postgres_server.query("SELECT status FROM orders") == [("FILLED",)],
        f"a filled order in the table; {execution.tail()}",
    )
    assert execution.metric('cdb_order_results_total{reason="",status="FILLED"}') == 1.0
    assert execution.metric("cdb_fill_slippage_bps_count") == 1.0
    assert conditions(market) == []
    assert execution.terminate() == 0


@pytest.mark.chaos
def test_an_order_filled_in_part_before_a_crash_is_filled_up_once_after_it(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    market.publish([_of_run(a.instruments(a.instrument(BTC))), book(1, [("65000", "0.01")])])
    bus_of(topics.RISK).publish(approved(1, "0.03"))
    market.publish([clock(1000), book(1100, [("65000", "0.01")])])
    rows = "SELECT status, filled_quantity, filled_price FROM orders"
    wait_until(
        lambda: (
            postgres_server.query(rows) == [("PARTIALLY_FILLED", Decimal("0.01"), Decimal(65_000))]
        ),
        "a third of the order in the table",
    )
    execution.kill()

    again = start_service(topics.EXECUTION, postgres_server)
    again.wait_health(200)
    market.publish([clock(2000), book(2100, [("65003", "0.05")])])

    wait_until(
        lambda: postgres_server.query(rows) == [("FILLED", Decimal("0.03"), Decimal(65_002))],
        f"the whole order in the table; {again.tail()}",
    )
    fills = [(str(one.status), str(one.filled_quantity)) for one in results(market)]
    assert fills == [("PARTIALLY_FILLED", "0.01"), ("FILLED", "0.02")]
    assert again.terminate() == 0


def test_an_entry_that_nothing_fills_in_time_is_cancelled(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    market.publish([_of_run(a.instruments(a.instrument(BTC))), tick(1)])
    bus_of(topics.RISK).publish(approved(1, "0.01"))
    rows = "SELECT status, reason, filled_quantity FROM orders"
    wait_until(lambda: postgres_server.query(rows) == [("PENDING", None, 0)], "the order")

    market.publish([clock(60_000), clock(60_002)])

    wait_until(
        lambda: postgres_server.query(rows) == [("CANCELLED", "EXPIRED", 0)], "its end in the table"
    )
    assert execution.terminate() == 0


@pytest.mark.risk
def test_an_entry_that_would_slip_too_far_is_rejected_with_an_alert(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    market.publish([_of_run(a.instruments(a.instrument(BTC))), book(1, [("65000", "1")])])
    bus_of(topics.RISK).publish(approved(1, "0.01"))

    market.publish([clock(1000), book(1100, [("66950", "1")])])

    wait_until(
        lambda: (
            postgres_server.query("SELECT status, reason, slippage_bps FROM orders")
            == [("REJECTED", "SLIPPAGE_EXCEEDED", 300)]
        ),
        "a rejected order in the table",
    )
    alerts = [
        (event.code, event.symbol)
        for event in journal.read(market, {topics.ALERTS}, 0, market.head())
        if isinstance(event, Alert)
    ]
    assert ("SLIPPAGE", BTC) in alerts
    assert execution.terminate() == 0


def test_an_order_that_nobody_approved_is_refused_on_the_record(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    market.publish([tick(1)])
    bus_of(topics.RISK).publish([_of_run(a.order("BTC_USDT", approved_by=None))])

    wait_until(
        lambda: (
            postgres_server.query("SELECT status, reason FROM orders")
            == [("REJECTED", "NOT_APPROVED")]
        ),
        "a refused order in the table",
    )
    assert execution.terminate() == 0


@pytest.mark.chaos
@pytest.mark.risk
def test_an_exit_is_filled_while_the_database_is_away_and_its_rows_are_tried_until_it_is_back(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    risk = bus_of(topics.RISK)
    market.publish([_of_run(a.instruments(a.instrument(BTC))), book(1, [("65000", "1")])])
    risk.publish(approved(1, "0.01"))
    market.publish([clock(1000), book(1100, [("65000", "1")])])
    orders = "SELECT status, reduce_only FROM orders ORDER BY seq"
    wait_until(lambda: postgres_server.query(orders) == [("FILLED", False)], "the entry")

    postgres_server.stop()
    try:
        risk.publish(approved(1200, "0.01", Side.SELL, reduce_only=True))
        wait_until(
            lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
            "the condition",
        )
        market.publish([clock(2000), book(2100, [("65000", "1")])])
        wait_until(lambda: len(results(market)) == 2, "the exit's fill on the bus")
    finally:
        postgres_server.start()

    filled = [("FILLED", False), ("FILLED", True)]
    wait_until(lambda: postgres_server.query(orders) == filled, "both orders in the table")
    trades = postgres_server.query("SELECT quantity, entry_price, exit_price FROM trades")
    assert trades == [(Decimal("0.01"), 65_000, 64_999)]
    assert execution.terminate() == 0


@pytest.mark.chaos
def test_rows_that_cannot_be_written_in_time_turn_health_red_until_they_are(
    start_service: StartService, bus_of: BusOf, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)

    with postgres_server.connection() as connection, connection.transaction():
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        market.publish([tick(1)])
        bus_of(topics.RISK).publish([_of_run(a.order(BTC, approved_by=None))])
        execution.wait_health(503, "orders and trades end at", seconds=30.0)
        assert (execution.metric("cdb_db_write_age_seconds") or 0) >= UNWRITTEN_LIMIT_S
        market.publish([clock(1000)])

    execution.wait_health(200)
    assert postgres_server.query("SELECT count(*) FROM orders") == [(1,)]
    assert execution.terminate() == 0


@pytest.mark.chaos
def test_a_bus_that_is_away_at_the_start_is_tried_again(
    start_service: StartService,
    bus_of: BusOf,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    recorder: JournalRecorder,
):
    recorder.start()
    redis_server.stop()
    try:
        execution = start_service(topics.EXECUTION, postgres_server)
        execution.wait_health(503, "Redis")
    finally:
        redis_server.start()
    open_bus(redis_server)
    bus_of(topics.PAPER_RUNNER).publish([run_started(source="external", speed="1")])
    bus_of(topics.WS).publish([clock(0)])

    execution.wait_health(200)
    assert execution.terminate() == 0


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
        wait_until(
            lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
            "the condition",
        )
    finally:
        postgres_server.start()

    wait_until(
        lambda: conditions(market)[-1] == (ConditionName.DATABASE_AWAY, ConditionPhase.CLEARED),
        "the end of the condition",
    )
    market.publish([clock(60_000)])
    execution.wait_health(200)
    wait_until(
        lambda: postgres_server.query("SELECT count(*) FROM orders") == [(1,)], "nothing is lost"
    )
    assert execution.terminate() == 0


@pytest.mark.chaos
@pytest.mark.risk
def test_a_record_that_nobody_writes_forbids_entries_until_it_has_caught_up(
    start_service: StartService,
    market: Bus,
    postgres_server: PostgresServer,
    recorder: JournalRecorder,
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)
    assert conditions(market) == []

    recorder.stop()
    market.publish([tick(1)])

    execution.wait_health(503, "is cdb_db_writer running?")
    wait_until(
        lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
        "the condition",
    )
    market.publish([clock(1000)])
    recorder.start()
    execution.wait_health(200)
    wait_until(
        lambda: (
            conditions(market)
            == [
                (ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN),
                (ConditionName.DATABASE_AWAY, ConditionPhase.CLEARED),
            ]
        ),
        "the end of the condition",
    )
    assert execution.terminate() == 0


@needs_signals
@pytest.mark.chaos
@pytest.mark.risk
def test_a_frozen_database_forbids_entries_and_clears(
    start_service: StartService, market: Bus, postgres_server: PostgresServer
):
    execution = start_service(topics.EXECUTION, postgres_server)
    execution.wait_health(200)

    with postgres_server.frozen():
        market.publish([tick(1)])
        execution.wait_health(503, "does not answer")
        wait_until(
            lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
            "the condition",
        )

    wait_until(
        lambda: conditions(market)[-1] == (ConditionName.DATABASE_AWAY, ConditionPhase.CLEARED),
        "the end of the condition",
    )
    assert execution.terminate() == 0


@pytest.mark.chaos
@pytest.mark.risk
def test_a_start_without_a_writer_forbids_entries_before_the_first_input(
    start_service: StartService,
    market: Bus,
    postgres_server: PostgresServer,
    recorder: JournalRecorder,
):
    recorder.stop()
    postgres_server.record_upto(0)
    execution = start_service(topics.EXECUTION, postgres_server)

    execution.wait_health(503, "is cdb_db_writer running?")
    wait_until(
        lambda: conditions(market) == [(ConditionName.DATABASE_AWAY, ConditionPhase.BEGAN)],
        "the condition",
    )
    assert execution.terminate() == 0


@pytest.mark.usefixtures("market")
def test_a_database_that_is_not_there_yet_is_waited_for_and_then_reported(
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
