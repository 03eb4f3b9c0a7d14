"""The `Record` screen as data: runs, trades, orders, alerts and events, page by page."""

from dataclasses import asdict
from typing import Any, Final

from services.explain.archive import Archive
from services.explain.event_line import describe
from services.explain.story import event_tree
from services.kernel.events.codec import decode
from services.reports import holdings
from services.reports.trading_statistics import plain_json
from services.runtime.database.connections import Connection

PAGE: Final = 100
"""Rows of one page."""
MOST_POINTS: Final = 2_000
"""Points of an equity curve."""


def runs(connection: Connection) -> list[dict[str, Any]]:
    """Every recorded run, the newest first."""
    return [plain_json(asdict(row)) for row in reversed(holdings.recorded_runs(connection))]


def trades(connection: Connection, run_id: str, symbol: str | None) -> list[dict[str, Any]]:
    """The newest closed trades of a run."""
    found = holdings.closed_trades(connection, run_id, symbol=symbol, newest=PAGE)
    return [plain_json(asdict(row)) for row in found]


def orders(
    connection: Connection, run_id: str, symbol: str | None, before: int | None
) -> list[dict[str, Any]]:
    """A page of orders, the newest first.

    Args:
        connection: To the record.
        run_id: Which run.
        symbol: One symbol; None for all.
        before: Seq of the last row of the page before; None for the first page.
    """
    where = {"run": run_id, "symbol": symbol, "before": before, "most": PAGE}
    cursor = connection.execute(_ORDERS, where)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def events(
    connection: Connection, run_id: str, kind: str | None, text: str | None, before: int | None
) -> list[dict[str, Any]]:
    """A page of events of a run, the newest first, each in one line.

    Args:
        connection: To the record.
        run_id: Which run.
        kind: Type of the events; None for all but the snapshots of
            each minute and the reports of what is written.
        text: Only events whose JSON contains this text.
        before: Seq of the last row of the page before; None for the first page.
    """
    where = {
        "run": run_id,
        "kind": kind,
        "text": None if not text else f"%{_escaped(text)}%",
        "before": before,
        "most": PAGE,
    }
    return [event_row(row[0]) for row in connection.execute(_EVENTS, where)]


def events_after(connection: Connection, seq: int, most: int) -> list[dict[str, Any]]:
    """The events behind a seq, the oldest first, for a page that was away."""
    where = {"after": seq, "most": most}
    return [event_row(row[0]) for row in connection.execute(_AFTER, where)]


def event_row(body: str) -> dict[str, Any]:
    """One event for a list: where it stands in the order, when, who made it, what it says."""
    event = decode(body.encode())
    return {
        "seq": event.seq,
        "at": event.timestamp,
        "topic": event.TOPIC,
        "type": str(event.__struct_config__.tag),
        "event_id": event.event_id,
        "producer": event.producer,
        "symbol": getattr(event, "symbol", None),
        "level": getattr(event, "level", None),
        "text": describe(event),
    }


def last_entry_decision(connection: Connection, run_id: str) -> dict[str, Any] | None:
    """The newest decision about an entry with what each layer measured; None before the first."""
    row = connection.execute(_LAST_DECISION, {"run": run_id}).fetchone()
    names = ("event_id", "at", "symbol", "side", "verdict", "reason", "layers")
    return None if row is None else dict(zip(names, row, strict=True))


def equity(connection: Connection, run_id: str) -> dict[str, Any]:
    """Equity and drawdown of a run, at most `MOST_POINTS` points, oldest first.

    Returns:
        ``at`` (Unix ms), ``equity`` and ``drawdown`` (fraction below the peak), equally long.
    """
    rows = connection.execute(_EQUITY, {"run": run_id, "most": MOST_POINTS}).fetchall()
    return {
        "at": [row[0] for row in rows],
        "equity": [float(row[1]) for row in rows],
        "drawdown": [None if row[2] is None else float(row[2]) for row in rows],
    }


def explanation(connection: Connection, identity: str) -> dict[str, Any]:
    """The story of an event as a tree; see `services.explain.story`.

    Raises:
        UnknownIdError: No event has this id.
    """
    archive = Archive(connection)
    return event_tree(archive, archive.find(identity)).to_json()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_LAST_DECISION: Final = """
    SELECT event_id, (extract(epoch FROM "timestamp") * 1000)::bigint, symbol, side, verdict,
           reason, layers
    FROM risk_decisions WHERE run_id = %(run)s AND NOT reduce_only ORDER BY seq DESC LIMIT 1
"""
_EQUITY: Final = """
    SELECT (extract(epoch FROM "timestamp") * 1000)::bigint, equity, drawdown_pct
    FROM (SELECT *, row_number() OVER (ORDER BY seq DESC) AS back, count(*) OVER () AS total
          FROM portfolio_snapshots WHERE run_id = %(run)s) AS snapshots
    WHERE (back - 1) %% greatest(1, -(-total / %(most)s)) = 0
    ORDER BY seq
"""
_ORDERS: Final = """
    SELECT order_id, seq, symbol, side, quantity::text, price::text, origin, order_type,
           reduce_only, status, reason, filled_quantity::text, filled_price::text, fees::text,
           slippage_bps::text, stop_loss_price::text,
           (extract(epoch FROM submitted_at) * 1000)::bigint AS submitted_at,
           (extract(epoch FROM filled_at) * 1000)::bigint AS filled_at
    FROM orders
    WHERE run_id = %(run)s AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
      AND (%(before)s::bigint IS NULL OR seq < %(before)s)
    ORDER BY seq DESC LIMIT %(most)s
"""
_EVENTS: Final = """
    SELECT body::text FROM events
    WHERE run_id = %(run)s AND type <> 'tick_batch'
      AND (type = %(kind)s OR
           (%(kind)s::text IS NULL AND type NOT IN ('portfolio_snapshot', 'record_head')))
      AND (%(text)s::text IS NULL OR body::text ILIKE %(text)s)
      AND (%(before)s::bigint IS NULL OR seq < %(before)s)
    ORDER BY seq DESC LIMIT %(most)s
"""
_AFTER: Final = """
    SELECT body::text FROM events
    WHERE seq > %(after)s AND type NOT IN ('tick_batch', 'portfolio_snapshot', 'record_head')
    ORDER BY seq LIMIT %(most)s
"""
