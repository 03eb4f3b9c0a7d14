"""What became of a run: its figures, computed from the record in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from services.kernel.settings.model import TradingSettings
from services.reports.data_notes import data_notes
from services.reports.decisions_hash import DECISION_TOPICS, decisions_hash
from services.runtime.database.connections import Connection

MS_PER_MINUTE = 60_000


class NoRunError(LookupError):
    """The database has no such run."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Risk's answers to signals; rejections by reason."""

    approved: int
    trimmed: int
    rejected: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StateChange:
    """A halt of the account or its release, with the reason that the record has.

    Attributes:
        at: Event time, Unix ms.
        reset_reason: What the operator gave as reason; None for a halt by a limit.
    """

    at: int
    previous: str
    state: str
    reason: str
    message: str
    reset_reason: str | None


@dataclass(frozen=True, slots=True)
class PriceGap:
    """An exit that was triggered beyond its stop, because the price jumped over it.

    Attributes:
        at: Event time of the fill, Unix ms.
        stop_loss_price: Where the stop was.
        trigger_price: The first price at or beyond it; on bars, where its fill started.
        filled_price: What the exit got, slippage included.
        gap_pct: Trigger beyond stop, as a fraction of the stop.
        loss: What the gap cost, in quote.
    """

    at: int
    symbol: str
    stop_loss_price: Decimal
    trigger_price: Decimal
    filled_price: Decimal
    gap_pct: Decimal
    loss: Decimal


@dataclass(frozen=True, slots=True)
class RunResult:
    """The figures of one run; money in quote currency, ``_pct`` and losses positive fractions."""

    run_id: str
    ticks: int
    signals: int
    decisions: Decisions
    exits: int
    orders: int
    fills: int
    trades: int
    rejected_orders: int
    equity_start: Decimal
    equity_end: Decimal
    max_drawdown_pct: Decimal
    worst_day_pct: Decimal
    halts: int
    releases: int
    fees: Decimal
    last_seq: int
    lost: int
    duplicates: int
    seconds: float
    decisions_hash: str
    state_changes: tuple[StateChange, ...]
    price_gaps: tuple[PriceGap, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values; decimals as text."""
        body: dict[str, Any] = _plain(asdict(self))
        return body


def orders_are_written(connection: Connection) -> bool:
    """Whether tables `orders` and `trades`, which execution writes, have all that is recorded."""
    row = connection.execute(
        """
        SELECT coalesce((SELECT seq FROM execution_cursor), 0) >= coalesce(max(seq), 0)
        FROM events WHERE type IN ('order', 'order_result')
        """
    ).fetchone()
    return bool(row and row[0])


def compute(
    connection: Connection, run_id: str, *, ticks_made: int | None, seconds: float
) -> RunResult:
    """Compute a run's result; the writer must have reached the end of the run.

    Args:
        connection: The database; only read.
        run_id: Which run.
        ticks_made: Ticks that the source made from accepted rows; None where it cannot be asked,
            ``lost`` then only counts what the record itself shows.
        seconds: How long the run took.

    Raises:
        NoRunError: The record has no such run.
    """
    recorded, distinct, first, last = _ticks(connection, run_id)
    made = distinct if ticks_made is None else ticks_made
    changes = state_changes(connection, run_id)
    signals = _count(connection, "SELECT count(*) FROM signals WHERE run_id = %s", run_id)
    settings = _settings(connection, run_id)
    account = _account(connection, run_id)
    missing = () if signals else (why_no_signals(settings, first, last),)
    return RunResult(
        run_id=run_id,
        ticks=made,
        signals=signals,
        decisions=_decisions(connection, run_id),
        exits=_count(connection, _EXITS, run_id),
        orders=_count(connection, _ORDERS, run_id),
        fills=_count(connection, _FILLS, run_id),
        trades=_count(connection, "SELECT count(*) FROM trades WHERE run_id = %s", run_id),
        rejected_orders=_count(connection, _REJECTED_ORDERS, run_id),
        equity_start=account["equity_start"],
        equity_end=account["equity_end"],
        max_drawdown_pct=account["max_drawdown_pct"],
        worst_day_pct=account["worst_day_pct"],
        halts=sum(change.state == "HALTED" for change in changes),
        releases=sum(change.previous == "HALTED" for change in changes),
        fees=account["fees"],
        last_seq=_last_seq(connection),
        lost=made - distinct,
        duplicates=recorded - distinct,
        seconds=round(seconds, 3),
        decisions_hash=_hash(connection, run_id),
        state_changes=changes,
        price_gaps=price_gaps(connection, run_id),
        notes=(*missing, *data_notes(connection, run_id, settings)),
    )


def why_no_signals(settings: TradingSettings, first: int | None, last: int | None) -> str:
    """Why a run without signals had none.

    Args:
        settings: The run's.
        first: Time of its first tick, Unix ms; None without ticks.
        last: Time of its last tick.
    """
    if first is None or last is None:
        return "no signals: there was no tick"
    minutes = Decimal(last - first) / MS_PER_MINUTE
    window = settings.lookback_minutes
    if minutes <= window:
        return (
            f"no signals: the window is longer than the data (LOOKBACK_MINUTES={window}, data"
            f" {minutes:.1f} minutes), so it was never full; set LOOKBACK_MINUTES below that"
        )
    return (
        f"no signals: no price changed by SIGNAL_THRESHOLD_PCT={settings.signal_threshold_pct}"
        f" within LOOKBACK_MINUTES={window}; lower the threshold, or widen the window"
    )


_EXITS = "SELECT count(*) FROM risk_decisions WHERE run_id = %s AND signal_id IS NULL"
_ORDERS = (
    "SELECT count(*) FROM events WHERE type = 'order' AND run_id = %s"
    " AND body ->> 'approved_by' IS NOT NULL"
)
_FILLS = (
    "SELECT count(*) FROM events WHERE type = 'order_result' AND run_id = %s"
    " AND (body ->> 'filled_quantity')::numeric > 0"
)
_REJECTED_ORDERS = (
    "SELECT count(*) FROM events WHERE type = 'order_result' AND run_id = %s"
    " AND body ->> 'status' = 'REJECTED'"
)


def _count(connection: Connection, query: str, run_id: str) -> int:
    row = connection.execute(query.encode(), (run_id,)).fetchone()
    return int(row[0]) if row else 0


def _ticks(connection: Connection, run_id: str) -> tuple[int, int, int | None, int | None]:
    """Rows, distinct ids, and the times of the first and last tick (Unix ms)."""
    row = connection.execute(
        """
        SELECT count(*), count(DISTINCT event_id),
            (extract(epoch FROM min("timestamp")) * 1000)::bigint,
            (extract(epoch FROM max("timestamp")) * 1000)::bigint
        FROM market_data WHERE run_id = %s AND kind <> 'clock'
        """,
        (run_id,),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), row[2], row[3]


def _decisions(connection: Connection, run_id: str) -> Decisions:
    rows = connection.execute(
        """
        SELECT verdict, coalesce(reason, 'UNKNOWN'), count(*) FROM risk_decisions
        WHERE run_id = %s AND signal_id IS NOT NULL
        GROUP BY 1, 2 ORDER BY 2
        """,
        (run_id,),
    ).fetchall()

    def total(verdict: str) -> int:
        return sum(int(number) for kind, _, number in rows if kind == verdict)

    rejected = {reason: int(number) for kind, reason, number in rows if kind == "REJECTED"}
    return Decisions(total("APPROVED"), total("TRIMMED"), rejected)


def _settings(connection: Connection, run_id: str) -> TradingSettings:
    row = connection.execute("SELECT settings FROM runs WHERE run_id = %s", (run_id,)).fetchone()
    if row is None:
        raise NoRunError(f"the record has no run {run_id}; `claire status` shows the present one")
    return TradingSettings.parse(row[0])[0]


def _account(connection: Connection, run_id: str) -> dict[str, Decimal]:
    """Equity before, and what the run's last snapshot says."""
    opening = connection.execute(
        """
        SELECT (account ->> 'cash')::numeric + coalesce((
            SELECT sum((p ->> 'quantity')::numeric
                * ((p ->> 'mark_price')::numeric - (p ->> 'entry_price')::numeric))
            FROM jsonb_array_elements(account -> 'positions') AS p), 0)
        FROM runs WHERE run_id = %s
        """,
        (run_id,),
    ).fetchone()
    assert opening is not None
    start = Decimal(opening[0])
    row = connection.execute(
        """
        SELECT equity, max_drawdown_pct, worst_day_pct, fees FROM portfolio_snapshots
        WHERE run_id = %s ORDER BY seq DESC LIMIT 1
        """,
        (run_id,),
    ).fetchone()
    end, drawdown, worst_day, fees = row or (start, Decimal(0), Decimal(0), Decimal(0))
    return {
        "equity_start": start,
        "equity_end": end,
        "max_drawdown_pct": drawdown,
        "worst_day_pct": worst_day,
        "fees": fees,
    }


def state_changes(connection: Connection, run_id: str) -> tuple[StateChange, ...]:
    """The halts of the account in a run, and their releases, in order."""
    rows = connection.execute(
        """
        SELECT (extract(epoch FROM c."timestamp") * 1000)::bigint, c.previous, c.state, c.reason,
            c.message, cause.body ->> 'reason'
        FROM trading_state_changes AS c
        LEFT JOIN events AS cause ON cause.event_id = c.causation_id AND cause.type = 'reset'
        WHERE c.run_id = %s AND c.symbol IS NULL AND 'HALTED' IN (c.previous, c.state)
            AND c.previous <> c.state
        ORDER BY c.seq
        """,
        (run_id,),
    ).fetchall()
    return tuple(StateChange(*row) for row in rows)


def price_gaps(connection: Connection, run_id: str) -> tuple[PriceGap, ...]:
    """The exits of a run that were triggered beyond their stop, in order."""
    rows = connection.execute(
        """
        SELECT (extract(epoch FROM r."timestamp") * 1000)::bigint, d.symbol, d.stop_loss_price,
            began.price, (r.body ->> 'filled_price')::numeric,
            -- an inverse contract's quantity is its face value: its coins are what a gap costs
            (r.body ->> 'filled_quantity')::numeric
                / CASE WHEN i.symbol IS NULL THEN 1 ELSE coalesce(t.entry_price, d.price) END
        FROM risk_decisions AS d
        JOIN events AS r ON r.type = 'order_result' AND r.run_id = d.run_id
            AND r.body ->> 'order_id' = d.order_id
            AND (r.body ->> 'filled_quantity')::numeric > 0
        CROSS JOIN LATERAL (
            SELECT coalesce((r.body -> 'fill' ->> 'start')::numeric, d.price) AS price
        ) AS began
        LEFT JOIN trades AS t ON t.trade_id = r.event_id
        LEFT JOIN (
            SELECT DISTINCT contract ->> 'symbol' AS symbol
            FROM events AS e, json_array_elements(e.body -> 'instruments') AS contract
            WHERE e.type = 'instruments' AND e.run_id = %s AND (contract ->> 'inverse')::boolean
        ) AS i ON i.symbol = d.symbol
        WHERE d.run_id = %s AND d.origin = 'stop_loss' AND began.price <> d.stop_loss_price
        ORDER BY r.seq
        """,
        (run_id, run_id),
    ).fetchall()
    return tuple(
        PriceGap(
            at=at,
            symbol=symbol,
            stop_loss_price=stop,
            trigger_price=trigger,
            filled_price=filled,
            gap_pct=abs(trigger - stop) / stop,
            loss=abs(trigger - stop) * coins,
        )
        for at, symbol, stop, trigger, filled, coins in rows
    )


def _last_seq(connection: Connection) -> int:
    row = connection.execute("SELECT seq FROM db_writer_cursor").fetchone()
    return int(row[0]) if row else 0


def _hash(connection: Connection, run_id: str) -> str:
    rows = connection.execute(
        "SELECT topic, body::text FROM events WHERE run_id = %s AND topic = ANY(%s) ORDER BY seq",
        (run_id, list(DECISION_TOPICS)),
    )
    bodies: dict[str, list[str]] = {topic: [] for topic in DECISION_TOPICS}
    for topic, body in rows:
        bodies[topic].append(body)
    return decisions_hash(bodies)


def _plain(value: Any) -> Any:
    """JSON values; a decimal becomes text without an exponent."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
