"""A run that is broken: everything is red, and what the advice says leads back to trading."""

from collections.abc import Callable
from dataclasses import replace as replaced
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from services.kernel.events import (
    AnyEvent,
    OrderResult,
    OrderStatus,
    PortfolioSnapshot,
    RiskDecision,
    RunStarted,
    topics,
)
from services.kernel.events.ids import make_id
from services.persistence.rebuild import rebuild
from services.proof.validation.validation import validate
from services.proof.verification.reexecution import reexecute
from services.record.database import DatabaseRecord
from services.record.runs import runs_of
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus
from services.runtime.database.connections import connect_to_read
from services.runtime.operator.channel import OperatorChannel
from services.runtime.operator.message import operator_message
from tests import builders as a
from tests.bus_builders import START_MS
from tests.deadline import wait_until
from tests.integration.services.conftest import StartService, writer_variables
from tests.integration.services.service_process import ServiceProcess
from tests.servers import PostgresServer, RedisServer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

BusOf = Callable[[str], Bus]
BTC = "BTC_USDT"
SERVICES = (topics.DB_WRITER, *topics.STAGE_ORDER, topics.PAPER_RUNNER)
WITHOUT_DATABASE = (topics.CORE, topics.RISK)


class System:
    """All services but the market's as processes; the test plays the market, and gives signals."""

    def __init__(
        self,
        start_service: StartService,
        bus_of: BusOf,
        redis: RedisServer,
        postgres: PostgresServer,
    ) -> None:
        self.reader = bus_of("operator")
        self.now = START_MS // 60_000 * 60_000
        self._start_service, self._bus_of = start_service, bus_of
        self._redis, self._postgres = redis, postgres
        self._numbers = count()
        self.processes: dict[str, ServiceProcess] = {}
        for service in SERVICES:
            self.start(service)
        self.run = self.wait_for_run(1)

    def start(self, service: str) -> None:
        variables = {}
        if service == topics.DB_WRITER:
            variables = writer_variables(self._redis, self._postgres)
        database = None if service in WITHOUT_DATABASE else self._postgres
        self.processes[service] = self._start_service(service, database, **variables)

    def published(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        events = journal.read(self.reader, topics.TOPICS, 0, self.reader.head())
        return [event for event in events if isinstance(event, kind)]

    def wait_for_run(self, number: int) -> RunStarted:
        runs = wait_until(
            lambda: len(found := self.published(RunStarted)) >= number and found,
            f"run {number}",
        )
        assert isinstance(runs[-1], RunStarted)
        assert len(runs) == number
        return runs[-1]

    def publish(self, *events: AnyEvent) -> int:
        """Publish events as their producers would, each with an id of its own."""
        last = 0
        for event in events:
            number = next(self._numbers)
            made = replace(
                event,
                run_id=self.run.run_id,
                event_id=make_id(self.run.run_id, "test", number),
            )
            last = self._bus_of(event.producer).publish([made]).last_seq
        return last

    def trade_for(self, seconds: int) -> None:
        """A clock and a trade in every second."""
        for _ in range(seconds):
            self.now += 1000
            self.publish(a.clock(self.now), a.trade(BTC, 100, self.now, volume=1000))

    def enter(self) -> None:
        """An entry by hand is approved and filled."""
        fills, decided = len(self.fills()), len(self.published(RiskDecision))
        self.reader.post(
            topics.SIGNALS,
            '{"symbol": "BTC_USDT", "direction": "BUY", "price": "100", "quantity": "10"}',
        )
        wait_until(lambda: len(self.published(RiskDecision)) > decided, "risk's answer")
        self.trade_for(5)
        last = self.published(RiskDecision)[-1:]
        wait_until(lambda: len(self.fills()) > fills, f"a fill; {last}")

    def fills(self) -> list[AnyEvent]:
        return [
            event
            for event in self.published(OrderResult)
            if isinstance(event, OrderResult) and event.status is OrderStatus.FILLED
        ]

    def begin_market(self) -> None:
        """Contracts and a minute of trades."""
        self.publish(a.instruments(a.instrument(BTC), at=self.now))
        self.trade_for(61)

    def says(self, command: str, reason: str) -> None:
        with OperatorChannel(self._redis.address("operator")) as channel:
            channel.post(operator_message(command, reason, None, reason), reason)

    def wait_red(self, reason: str) -> None:
        for process in self.processes.values():
            process.wait_health(503, reason)

    def wait_green(self) -> None:
        for process in self.processes.values():
            process.wait_health(200, "")

    def wait_written(self) -> None:
        writer = self.processes[topics.DB_WRITER]
        wait_until(
            lambda: writer.status().get("committed_seq") == self.reader.head(),
            "everything is written",
        )
        own = ("orders", "order_results", "control")  # what the order tables follow, in the record
        heads = self.reader.heads().topic_heads
        last, execution = max(heads[topic] for topic in own), self.processes[topics.EXECUTION]
        wait_until(
            lambda: int(str(execution.status().get("tables_seq"))) >= last, "orders are in tables"
        )

    def account(self) -> str:
        stage = self.processes[topics.RISK].status().get("stage", {})
        return str(stage.get("account"))


@pytest.fixture
def system(
    start_service: StartService,
    bus_of: BusOf,
    open_redis: RedisServer,
    postgres_server: PostgresServer,
) -> System:
    made = System(start_service, bus_of, open_redis, postgres_server)
    made.begin_market()
    made.wait_green()
    return made


def test_a_reset_after_a_checksum_mismatch_leads_back_to_trading(
    system: System, open_redis: RedisServer
) -> None:
    system.enter()
    # Given a risk whose state is not what the record makes
    assert system.processes[topics.RISK].terminate() == 0
    saved = snapshots.load(system.reader, topics.RISK)
    assert saved is not None
    state = msgspec.json.decode(saved.state)
    fees = state["portfolio"]["fees"]
    changed = saved.state.replace(b'"fees":"%s"' % fees.encode(), b'"fees":"1000"', 1)
    with open_redis.admin() as admin:
        wrong = replaced(saved, state=changed)
        admin.hset(f"cdb:snapshot:{topics.RISK}", mapping=wrong.fields())
    system.start(topics.RISK)
    # When the folds are compared
    system.trade_for(61)
    wait_until(lambda: system.account() == "HALTED", "halted")
    system.wait_red("CHECKSUM_MISMATCH")
    health = system.processes[topics.RISK].health().body["reason"]
    assert 'claire reset --reason "..." begins a new run with this account' in health
    # And the advice is followed
    system.says("reset", "looked at it")
    first, system.run = system.run, system.wait_for_run(2)
    # Then the account is the record's, and trading goes on
    assert system.run.account.halted is None
    assert system.run.account.cash == first.account.cash - msgspec.json.decode(
        f'"{fees}"'.encode(), type=type(first.account.cash)
    )
    assert [position.symbol for position in system.run.account.positions] == [BTC]
    system.begin_market()
    system.wait_green()
    assert system.account() == "ACTIVE"
    system.enter()
    system.trade_for(61)
    compared = [
        event for event in system.published(PortfolioSnapshot) if event.run_id == system.run.run_id
    ]
    assert len(compared) >= 2
    assert system.account() == "ACTIVE"


def test_a_reset_after_an_event_that_cannot_be_recorded_leads_back_to_trading(
    system: System, bus_of: BusOf, postgres_server: PostgresServer
) -> None:
    system.enter()
    # Given two events with one id
    again = replace(a.instruments(a.instrument(BTC)), run_id=system.run.run_id)
    market = bus_of(topics.WS)
    market.publish([again])
    last = market.publish([again]).last_seq
    # Then trading halts, everything is red, and the record names the hole
    wait_until(lambda: system.account() == "HALTED", "halted")
    system.wait_red(f"RECORD_BROKEN: event {last}, {again.event_id} of cdb_ws on control, is")
    alerts = "SELECT code FROM alerts WHERE level = 'CRITICAL'"
    wait_until(lambda: ("RECORD_BROKEN",) in postgres_server.query(alerts), "alert")
    # When the advice is followed
    system.says("reset", "looked at it")
    system.run = system.wait_for_run(2)
    assert [position.symbol for position in system.run.account.positions] == [BTC]
    system.begin_market()
    system.wait_green()
    system.enter()
    system.wait_written()
    # Then the new run can be proven, and the old one shows what is missing
    for process in system.processes.values():
        assert process.terminate() == 0
    with connect_to_read(postgres_server.address, application="test") as connection:
        record = DatabaseRecord(connection)
        old, new = runs_of(record)
        found = reexecute(record.bodies(old.span))
        assert found.missing == 1
        assert found.first_hole is not None
        assert found.first_hole.topic == topics.CONTROL
        proven = reexecute(record.bodies(new.span))
        assert (proven.missing, proven.comparison.divergences) == (0, 0)
        assert validate(record, new.span).findings.total == 0
    assert all(table.identical for table in rebuild(postgres_server.address, keep=True))
