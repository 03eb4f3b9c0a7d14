"""What is drawn over the candles of a symbol: fills, stops, refused signals, gaps in the data."""

from itertools import zip_longest
from typing import Any, Final

from services.runtime.database.connections import Connection

MOST_REFUSED: Final = 2_000
MOST_FILLS: Final = 2_000


def overlays(connection: Connection, run_id: str, symbol: str) -> dict[str, Any]:
    """Everything that happened in one symbol of a run, the newest first, JSON-able.

    Args:
        connection: To the record.
        run_id: Which run.
        symbol: Which symbol.

    Returns:
        ``fills``, ``stops``, ``refused`` (at most `MOST_REFUSED`, ``refused_total`` says how many
        there are), and ``gaps``; times are Unix ms, amounts text.
    """
    where = {"run": run_id, "symbol": symbol, "most": MOST_REFUSED, "fills": MOST_FILLS}
    fills = [_named(_FILL, row) for row in connection.execute(_FILLS, where)]
    closings = [row[0] for row in connection.execute(_CLOSINGS, where)]
    total = connection.execute(_REFUSED_TOTAL, where).fetchone()
    return {
        "fills": fills,
        "stops": stop_lines(fills, closings),
        "refused": [_named(_REFUSAL, row) for row in connection.execute(_REFUSED, where)],
        "refused_total": total[0] if total else 0,
        "gaps": gaps(list(connection.execute(_GAPS, where))),
    }


def stop_lines(fills: list[dict[str, Any]], closings: list[int]) -> list[dict[str, Any]]:
    """The stop of each opening fill, from the fill until the next closing or the next opening.

    Args:
        fills: As `overlays` has them, the newest first.
        closings: Times at which the position closed, ascending, Unix ms.

    Returns:
        ``from``, ``to`` (None while the position is open) and ``price``, oldest first.
    """
    openings = [fill for fill in reversed(fills) if not fill["reduce_only"] and fill["stop"]]
    lines = []
    for fill, following in zip_longest(openings, openings[1:]):
        ends = [at for at in closings if at >= fill["at"]][:1]
        ends += [following["at"]] if following else []
        line = {"from": fill["at"], "to": min(ends) if ends else None, "price": fill["stop"]}
        lines.append(line)
    return lines


def gaps(rows: list[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """Spans without complete data, from the conditions that began and cleared.

    Args:
        rows: Time (Unix ms), phase and detail of each change, in order.
    """
    found: list[dict[str, Any]] = []
    for at, phase, detail in rows:
        is_open = bool(found) and found[-1]["to"] is None
        if phase == "BEGAN" and not is_open:
            found.append({"from": at, "to": None, "detail": detail})
        elif phase == "CLEARED" and is_open:
            found[-1]["to"] = at
    return found


def _named(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(names, row, strict=True))


_FILL: Final = (
    *("at", "order_id", "event_id", "side", "quantity", "price", "origin", "reduce_only"),
    *("stop", "status", "fees", "slippage_bps"),
)
_FILLS: Final = """
    SELECT (body->>'timestamp')::bigint, body->>'order_id', event_id, body->>'side',
           body->>'filled_quantity', body->>'filled_price', body->>'origin',
           (body->>'reduce_only')::boolean, body->>'stop_loss_price', body->>'status',
           body->>'fees', body->>'slippage_bps'
    FROM events
    WHERE run_id = %(run)s AND type = 'order_result' AND body->>'symbol' = %(symbol)s
      AND body->>'status' IN ('FILLED', 'PARTIALLY_FILLED')
    ORDER BY seq DESC LIMIT %(fills)s
"""
_CLOSINGS: Final = """
    SELECT (extract(epoch FROM closed_at) * 1000)::bigint FROM trades
    WHERE run_id = %(run)s AND symbol = %(symbol)s ORDER BY seq
"""
_REFUSAL: Final = (
    *("at", "event_id", "side", "reason", "price", "layer", "layer_name", "value", "limit"),
    *("unit", "detail"),
)
_REFUSED: Final = """
    SELECT (extract(epoch FROM d."timestamp") * 1000)::bigint, d.event_id, d.side, d.reason,
           d.price::text, f.layer, f.name, f.value, f."limit", f.unit, f.detail
    FROM (SELECT * FROM risk_decisions
          WHERE run_id = %(run)s AND symbol = %(symbol)s AND verdict = 'REJECTED'
            AND NOT reduce_only
          ORDER BY seq DESC LIMIT %(most)s) AS d
    LEFT JOIN LATERAL (
        SELECT (l->>'layer')::integer AS layer, l->>'name' AS name, l->>'value' AS value,
               l->>'limit' AS "limit", l->>'unit' AS unit, l->>'detail' AS detail
        FROM jsonb_array_elements(d.layers) AS l WHERE l->>'verdict' = 'FAIL'
        ORDER BY 1 LIMIT 1) AS f ON true
    ORDER BY d.seq DESC
"""
_REFUSED_TOTAL: Final = """
    SELECT count(*) FROM risk_decisions
    WHERE run_id = %(run)s AND symbol = %(symbol)s AND verdict = 'REJECTED' AND NOT reduce_only
"""
_GAPS: Final = """
    SELECT (body->>'timestamp')::bigint, body->>'phase', body->>'detail' FROM events
    WHERE run_id = %(run)s AND type = 'condition' AND body->>'name' = 'DATA_GAP'
      AND body->>'symbol' = %(symbol)s
    ORDER BY seq
"""
