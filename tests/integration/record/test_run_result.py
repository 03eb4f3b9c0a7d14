"""The result is what the record says: lost and double ticks, gaps over stops, halts and why."""

import json
from decimal import Decimal
from typing import Any

import pytest

from services.cli.run.home_check import Wanted, find_problem
from services.reports import run_result
from services.runtime.database.connections import connect
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration

RUN = "run-1"
START_MS = 1_735_689_600_000
SETTINGS = {"LOOKBACK_MINUTES": "15", "CDB_SOURCE": "replay"}
ACCOUNT = {"cash": "1000", "positions": []}


class Record:
    """Writes rows as the services would."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._seq = 0
        with server.connection() as connection:
            connection.execute("SELECT ensure_market_data_day('2025-01-01')")
            connection.execute(
                "INSERT INTO runs (run_id, seq, started_at, source, seed, code_version, settings,"
                " account) VALUES (%s, 1, now(), 'replay', 1, 'v1', %s, %s)",
                (RUN, json.dumps(SETTINGS), json.dumps(ACCOUNT)),
            )

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def tick(
        self,
        event_id: str,
        minute: int = 0,
        kind: str = "trade",
        *,
        symbol: str | None = None,
        second: int = 0,
        backfill: bool = False,
        **body: str,
    ) -> None:
        at = START_MS / 1000 + minute * 60 + second
        given = (event_id, RUN, at, kind, symbol, backfill, json.dumps(body))
        with self._server.connection() as connection:
            connection.execute(
                "INSERT INTO market_data (seq, topic_seq, event_id, run_id, timestamp, kind,"
                " symbol, backfill, body)"
                " VALUES (%s, 1, %s, %s, to_timestamp(%s), %s, %s, %s, %s)",
                (self._next(), *given),
            )

    def event(self, topic: str, event_type: str, body: dict[str, Any]) -> None:
        seq = self._next()
        with self._server.connection() as connection:
            connection.execute(
                "INSERT INTO events (seq, topic, topic_seq, event_id, type, producer, run_id,"
                " timestamp, schema_version, external, body, chain_hash)"
                " VALUES (%s, %s, 1, %s, %s, 'x', %s, to_timestamp(%s), 1, false, %s, %s)",
                (
                    seq,
                    topic,
                    f"{event_type}-{seq}" if event_type != "reset" else "the-reset",
                    event_type,
                    RUN,
                    START_MS / 1000,
                    json.dumps(body),
                    bytes(32),
                ),
            )

    def state(self, previous: str, state: str, cause: str | None = None) -> None:
        seq = self._next()
        with self._server.connection() as connection:
            connection.execute(
                "INSERT INTO trading_state_changes (event_id, seq, run_id, timestamp, previous,"
                " state, reason, message, values, causation_id)"
                " VALUES (%s, %s, %s, now(), %s, %s, 'DAILY_DRAWDOWN', 'lost 5 %%', '{}', %s)",
                (f"state-{seq}", seq, RUN, previous, state, cause),
            )

    def stop_exit(self, order_id: str, *, trigger: str, stop: str) -> None:
        seq = self._next()
        with self._server.connection() as connection:
            connection.execute(
                "INSERT INTO risk_decisions (event_id, seq, run_id, timestamp, decision_id,"
                " order_id, origin, symbol, side, reduce_only, verdict, requested_quantity,"
                " quantity, price, stop_loss_price, leverage, equity, trading_state, sizing,"
                " layers) VALUES (%s, %s, %s, now(), %s, %s, 'stop_loss', 'BTC_USDT', 'SELL', true,"
                " 'APPROVED', 2, 2, %s, %s, 1, 1000, 'ACTIVE', '{}', '[]')",
                (f"decision-{seq}", seq, RUN, f"decision-{seq}", order_id, trigger, stop),
            )

    def result(self, ticks_made: int = 0) -> run_result.RunResult:
        with connect(self._server.address, application="test") as connection:
            return run_result.compute(connection, RUN, ticks_made=ticks_made, seconds=1.0)

    def problem(self, first_tick: int | None, seed: int = 1) -> str | None:
        wanted = Wanted(SETTINGS, seed, "v1", first_tick)
        with connect(self._server.address, application="test") as connection:
            return find_problem(connection, wanted)


@pytest.fixture
def record(postgres_server: PostgresServer) -> Record:
    return Record(postgres_server)


def test_lost_and_double_ticks_are_counted_by_their_ids(record: Record) -> None:
    for event_id in ("a", "b", "b", "c"):
        record.tick(event_id)
    record.tick("clock", kind="clock")

    result = record.result(ticks_made=5)

    assert (result.ticks, result.lost, result.duplicates) == (5, 2, 1)


def test_a_run_without_signals_says_why(record: Record) -> None:
    record.tick("a", minute=0)
    record.tick("b", minute=6)

    (note,) = record.result(ticks_made=2).notes

    assert "window is longer than the data" in note
    assert "6.0 minutes" in note


def test_what_the_data_is_too_coarse_for_and_does_not_have_is_noted(record: Record) -> None:
    for place in range(5):
        bar = "inside" if place else "open"
        record.tick(f"a{place}", symbol="A_USDT", second=15 * place, bar=bar)
    record.tick("later", symbol="A_USDT", second=300, bar="open")
    for kind in ("trade", "quote", "mark", "funding"):
        record.tick(f"b {kind}", symbol="B_USDT", second=300, kind=kind)
    record.tick("b past", symbol="B_USDT", kind="trade", bar="open", backfill=True)

    notes = [note for note in record.result().notes if not note.startswith("no signals")]

    assert [note.partition(": ")[0] for note in notes] == ["A_USDT"] * 4
    assert "a point every 15 s: too coarse for SIM_LATENCY_MS=50" in notes[0]
    assert "no quotes or books" in notes[1]
    assert "no mark prices" in notes[2]
    assert "no funding rates" in notes[3]


def test_a_stop_within_a_bar_is_no_price_gap_and_an_opening_beyond_it_is(record: Record) -> None:
    fill = {"filled_quantity": "2", "filled_price": "94.9", "status": "FILLED"}
    for order_id, start in (("crossed", "98"), ("jumped", "95.5")):
        record.stop_exit(order_id, trigger="95", stop="98.0")
        body = fill | {"order_id": order_id, "fill": {"start": start}}
        record.event("order_results", "order_result", body)

    (gap,) = record.result().price_gaps

    assert (gap.trigger_price, gap.loss) == (Decimal("95.5"), 5)


def test_halts_and_releases_have_their_reasons(record: Record) -> None:
    record.state("ACTIVE", "HALTED")
    record.state("HALTED", "HALTED")
    record.event("control", "reset", {"reason": "a new day"})
    record.state("HALTED", "ACTIVE", cause="the-reset")

    result = record.result()

    assert (result.halts, result.releases) == (1, 1)
    assert [change.reset_reason for change in result.state_changes] == [None, "a new day"]


def test_an_exit_triggered_beyond_its_stop_is_a_price_gap(record: Record) -> None:
    fill = {"filled_quantity": "2", "filled_price": "94.9", "status": "FILLED"}
    for order_id, trigger in (("jumped", "95"), ("touched", "98")):
        record.stop_exit(order_id, trigger=trigger, stop="98.0")
        record.event("order_results", "order_result", fill | {"order_id": order_id})

    result = record.result()

    (gap,) = result.price_gaps
    assert (gap.trigger_price, gap.filled_price) == (Decimal(95), Decimal("94.9"))
    assert gap.loss == 6
    assert (result.exits, result.fills) == (2, 2)


def test_an_unknown_run_has_no_result(postgres_server: PostgresServer) -> None:
    with (
        connect(postgres_server.address, application="test") as connection,
        pytest.raises(run_result.NoRunError, match="no run unknown"),
    ):
        run_result.compute(connection, "unknown", ticks_made=0, seconds=1.0)


def test_time_does_not_go_back(record: Record) -> None:
    record.tick("clock", minute=10, kind="clock")

    assert record.problem(START_MS, seed=2) is not None
    assert "--fresh" in str(record.problem(START_MS, seed=2))
    assert record.problem(START_MS + 3_600_000, seed=2) is None
    assert record.problem(None, seed=2) is None


def test_the_open_run_goes_on_although_its_clock_is_later(record: Record) -> None:
    record.tick("clock", minute=10, kind="clock")

    assert record.problem(START_MS, seed=1) is None


def test_a_halt_is_reported_with_both_remedies(record: Record) -> None:
    record.state("ACTIVE", "HALTED")

    problem = str(record.problem(None))

    assert "claire reset" in problem
    assert "--fresh" in problem


def test_a_record_without_tables_is_no_problem(empty_postgres: PostgresServer) -> None:
    with connect(empty_postgres.address, application="test") as connection:
        assert find_problem(connection, Wanted({}, 1, "v1", 5)) is None
