"""Orders and trades: every order once, every closing fill once, whatever is away."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.cdb_ws.publishing.ticks import instruments
from services.kernel.events import Event, OrderStatus, Origin, Side, topics
from services.kernel.events.ids import make_id
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio.portfolio import Portfolio
from services.persistence.order_follower import OrderFollower
from services.runtime.bus import recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known
from tests.bus_builders import clock, run_started, tick
from tests.deadline import DEADLINE_S, wait_until
from tests.journal_recorder import JournalRecorder
from tests.record_builders import SYMBOL, order, result
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration

Published = Callable[[], int]


class Desk:
    """The follower in a thread, and the services that publish."""

    def __init__(self, redis: RedisServer, postgres: PostgresServer) -> None:
        recovery.restore(redis.address("recovery"), Known())
        self._redis, self._postgres = redis, postgres
        self.recorder = JournalRecorder(redis, postgres)
        self._buses: dict[str, Bus] = {}
        self.start()

    def start(self) -> None:
        self._stopping = threading.Event()
        self._own = Bus(self._redis.address(topics.EXECUTION), topics.EXECUTION)
        self.follower = OrderFollower(self._postgres.role(topics.EXECUTION), self._own)
        self._thread = threading.Thread(target=self.follower.run, args=(self._stopping,))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=DEADLINE_S)
        assert not self._thread.is_alive()
        self._own.close()

    def close(self) -> None:
        self.stop()
        self.recorder.close()
        for bus in self._buses.values():
            bus.close()

    def bus(self, service: str) -> Bus:
        if service not in self._buses:
            self._buses[service] = Bus(self._redis.address(service), service)
            self._buses[service].claim()
        return self._buses[service]

    def publish(self, *events: Event) -> int:
        last = 0
        for event in events:
            last = self.bus(event.producer).publish([event]).last_seq
        return last

    def wait_recorded(self, seq: int) -> None:
        """Record up to ``seq``, and wait until the tables have it."""
        self.recorder.record(seq)
        self.wait(seq)

    def wait(self, seq: int) -> None:
        wait_until(lambda: self.follower.committed_seq >= seq, f"seq {seq} written")


@pytest.fixture
def desk(redis_server: RedisServer, postgres_server: PostgresServer) -> Iterator[Desk]:
    desk = Desk(redis_server, postgres_server)
    yield desk
    desk.close()


def test_a_closed_position_becomes_a_trade(desk: Desk, postgres_server: PostgresServer) -> None:
    desk.publish(run_started(), order(1), result(1, price="100"))
    desk.publish(order(2), result(2, price="110"))
    last = desk.publish(order(3, side=Side.SELL), result(3, side=Side.SELL, price="120"))

    desk.wait_recorded(last)

    assert postgres_server.query("SELECT status, filled_price FROM orders ORDER BY seq") == [
        ("FILLED", Decimal(100)),
        ("FILLED", Decimal(110)),
        ("FILLED", Decimal(120)),
    ]
    trades = postgres_server.query(
        "SELECT trade_id, order_id, side, quantity, entry_price, exit_price, gross_profit,"
        " fees_open, fees_close, profit_loss, exit_reason FROM trades"
    )
    assert trades == [
        (
            make_id("result event", 3, 0), make_id("order", 3), "BUY", Decimal(2), Decimal(105),
            Decimal(120), Decimal(30), Decimal("0.16"), Decimal("0.16"), Decimal("29.68"),
            "opposite_entry",
        )
    ]  # fmt: skip


def test_a_trade_has_the_funding_that_the_record_has(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    opened = desk.publish(run_started(), order(1), result(1, price="100"))
    settled = desk.publish(clock(2))
    last = desk.publish(order(2, side=Side.SELL), result(2, side=Side.SELL, price="100"))
    with postgres_server.connection() as connection:
        for seq, amount in ((opened, "-0.25"), (settled, "-0.50"), (last + 1, "-8")):
            connection.execute(
                "INSERT INTO funding_payments VALUES"
                " ('run-1', %s, to_timestamp(%s), %s, 2, 100, 0.001, %s)",
                (SYMBOL, seq, seq, amount),
            )

    desk.wait_recorded(last)

    rows = postgres_server.query("SELECT funding, profit_loss, gross_profit FROM trades")
    assert rows == [(Decimal("-0.75"), Decimal("-1.07"), 0)]


def test_trades_are_made_again_after_a_migration_has_reset_the_cursor(
    desk: Desk, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.persistence.order_store.PAGE", 2)
    last = desk.publish(run_started(), order(1), result(1, price="100"))
    last = desk.publish(order(2, side=Side.SELL), result(2, side=Side.SELL, price="110"))
    desk.wait_recorded(last)
    before = postgres_server.query("TABLE trades")
    desk.stop()
    with postgres_server.connection() as connection:
        connection.execute("DELETE FROM trades")
        connection.execute("UPDATE execution_cursor SET seq = 0, state = ''")

    desk.start()
    desk.wait(last)

    assert len(before) == 1
    assert postgres_server.query("TABLE trades") == before
    assert postgres_server.query("SELECT count(*) FROM orders") == [(2,)]


def test_partial_fills_add_up(desk: Desk, postgres_server: PostgresServer) -> None:
    first = result(1, price="100", quantity="0.5", part=1, status=OrderStatus.PARTIALLY_FILLED)
    last = desk.publish(
        run_started(), order(1), first, result(1, price="104", quantity="1.5", part=2)
    )

    desk.wait_recorded(last)

    rows = postgres_server.query("SELECT status, filled_quantity, filled_price, fees FROM orders")
    assert rows == [("FILLED", Decimal(2), Decimal(103), Decimal("0.32"))]


@pytest.mark.parametrize(
    ("inverse", "average"),
    [
        (False, "10400"),  # 80,000 coins at 8,000 and 120,000 at 12,000
        (True, "10000"),  # 200,000 of face value for 10 coins and 10 coins
    ],
)
def test_parts_are_averaged_as_the_position_s_entry_price_is(
    desk: Desk, postgres_server: PostgresServer, inverse: bool, average: str
) -> None:
    contract = replace(generic_instrument(SYMBOL, Decimal(1)), inverse=inverse)
    details = instruments("run-1", 1, (contract,))
    parts = [
        result(1, part=1, status=OrderStatus.PARTIALLY_FILLED, price="8000", quantity="80000",
               slippage_bps=Decimal(0), latency_ms=70),
        result(1, part=2, status=OrderStatus.PARTIALLY_FILLED, price="12000", quantity="120000",
               slippage_bps=Decimal(5000), latency_ms=900),
        result(1, part=3, status=OrderStatus.REJECTED, quantity="0", filled_price=None,
               slippage_bps=Decimal(9000), latency_ms=None, reason="SLIPPAGE_EXCEEDED"),
    ]  # fmt: skip
    last = desk.publish(run_started(), details, order(1, price=Decimal(8000)), *parts)

    desk.wait_recorded(last)

    rows = postgres_server.query("SELECT filled_price, slippage_bps, latency_ms FROM orders")
    assert rows == [(Decimal(average), (Decimal(average) / 8000 - 1) * 10_000, 900)]
    fold = Portfolio()
    for event in (run_started(), details, *parts):
        fold.apply(event)
    assert fold.state.positions[SYMBOL].entry_price == Decimal(average)


def test_one_fill_of_an_inverse_contract_keeps_its_price_to_the_last_digit(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    contract = generic_instrument(SYMBOL, Decimal("0.5"), inverse=True)
    details = instruments("run-1", 1, (contract,))
    fill = result(1, price="79999.5", quantity="1", slippage_bps=Decimal("1.25"))

    desk.wait_recorded(desk.publish(run_started(), details, order(1), fill))

    assert postgres_server.query("SELECT filled_price, filled_value, slippage_bps FROM orders") == [
        (Decimal("79999.5"), 1, Decimal("1.25"))
    ]


def test_a_refused_order_reports_what_it_would_have_slipped(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    refusal = result(
        1, quantity="0", status=OrderStatus.REJECTED, reason="SLIPPAGE_EXCEEDED",
        filled_price=None, slippage_bps=Decimal(300), latency_ms=None,
    )  # fmt: skip

    desk.wait_recorded(desk.publish(run_started(), order(1), refusal))

    rows = postgres_server.query("SELECT filled_price, slippage_bps, latency_ms FROM orders")
    assert rows == [(None, 300, None)]


def test_a_refused_repetition_leaves_the_first_order_alone(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    again = order(1, approved_by=None)
    refusal = result(
        1, quantity="0", part=9, status=OrderStatus.REJECTED, reason="DUPLICATE_ORDER",
        filled_price=None,
    )  # fmt: skip
    last = desk.publish(run_started(), order(1), again, refusal, result(1))

    desk.wait_recorded(last)

    assert postgres_server.query("SELECT status, reason FROM orders") == [("FILLED", None)]


def test_an_order_posted_by_hand_under_a_real_orders_id_leaves_the_real_one_alone(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    posted = order(1, approved_by=None, origin=Origin.EXTERNAL, external=True)
    refusal = result(
        1, quantity="0", part=9, status=OrderStatus.REJECTED, reason="NOT_APPROVED",
        filled_price=None, origin=Origin.EXTERNAL,
    )  # fmt: skip
    last = desk.publish(run_started(), order(1), result(1), posted, refusal)

    desk.wait_recorded(last)

    assert postgres_server.query("SELECT status, reason FROM orders") == [("FILLED", None)]


def test_a_restart_goes_on_with_the_entry_prices_it_had(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    desk.wait_recorded(desk.publish(run_started(), order(1), result(1, price="100")))
    desk.stop()
    last = desk.publish(order(2, side=Side.SELL), result(2, side=Side.SELL, price="90"))

    desk.start()
    desk.wait_recorded(last)

    assert postgres_server.query("SELECT entry_price, gross_profit FROM trades") == [
        (Decimal(100), Decimal(-20))
    ]


def test_postgres_away_is_seen_and_nothing_is_lost(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    desk.wait_recorded(desk.publish(run_started(), order(1)))
    wait_until(lambda: desk.follower.away is None, "connected")

    postgres_server.stop()
    last = desk.publish(result(1))
    wait_until(lambda: desk.follower.away is not None, "away is seen")
    postgres_server.start()

    desk.wait_recorded(last)
    assert desk.follower.away is None
    assert postgres_server.query("SELECT status FROM orders") == [("FILLED",)]


def test_in_a_silence_the_position_follows_the_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.persistence.order_follower.IDLE_MOVE_S", 0.05)
    desk.publish(run_started(), clock(0))

    desk.wait_recorded(desk.publish(*(tick(n) for n in range(1, 50))))


def test_what_is_not_recorded_is_in_no_table(desk: Desk, postgres_server: PostgresServer) -> None:
    begun = desk.publish(run_started())
    desk.wait_recorded(begun)

    last = desk.publish(order(1), result(1))
    looks = desk.follower.counters["looks"]
    wait_until(lambda: desk.follower.counters["looks"] > looks + 2, "the record is looked at")

    assert desk.follower.committed_seq == begun
    assert postgres_server.query("SELECT status FROM orders") == []
    desk.wait_recorded(last)
    assert postgres_server.query("SELECT status FROM orders") == [("FILLED",)]
