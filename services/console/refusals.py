"""The `Why` screen as data: the funnel, refusals by reason over time, the nearest misses."""

from typing import Any, Final

from services.explain.funnel import Part, funnel
from services.explain.remedies import miss_line, remedies
from services.kernel.reasons import REASONS, Reason
from services.runtime.database.connections import Connection

COLUMNS: Final = 48
"""Into so many spans the time of the run is divided."""


def why_view(connection: Connection, run_id: str, since: int = 0) -> dict[str, Any]:
    """Why a run traded, or did not.

    Args:
        connection: To the record.
        run_id: Which run.
        since: From this event time on, Unix ms.

    Returns:
        ``funnel``, ``adds_up``, ``what_would_change_it``, ``misses`` in words, ``refusals`` (by
        reason, with counts by span), JSON-able.
    """
    found = funnel(connection, Part(run_id, since))
    return {
        "funnel": found.to_json(),
        "adds_up": found.adds_up,
        "what_would_change_it": remedies(found),
        "misses": [
            {"at": miss.at, "event_id": miss.event_id, "text": miss_line(miss)}
            for miss in found.nearest
        ],
        "refusals": refusals(connection, run_id, found.began, found.ended),
    }


def refusals(
    connection: Connection, run_id: str, began: int | None, ended: int | None
) -> dict[str, Any]:
    """Refused entries by reason, counted in `COLUMNS` equal spans of the run's time.

    Args:
        connection: To the record.
        run_id: Which run.
        began: Event time of the first tick, Unix ms; None without one.
        ended: Event time of the last tick, Unix ms; None without one.
    """
    if began is None or ended is None:
        return {"began": None, "span_ms": None, "reasons": []}
    span = max(1, -(-(ended + 1 - began) // COLUMNS))
    counts: dict[str, list[int]] = {}
    layers: dict[str, int | None] = {}
    parameters = {"run": run_id, "began": began, "span": span}
    for reason, layer, column, number in connection.execute(_REFUSALS, parameters):
        line = counts.setdefault(reason, [0] * COLUMNS)
        line[max(0, min(COLUMNS - 1, column))] += number
        layers[reason] = layer
    rows = [
        {
            "reason": reason,
            "meaning": REASONS[Reason(reason)].meaning if reason in Reason.__members__ else "",
            "layer": layers[reason],
            "total": sum(line),
            "counts": line,
        }
        for reason, line in counts.items()
    ]
    rows.sort(key=lambda row: -int(str(row["total"])))
    return {"began": began, "span_ms": span, "reasons": rows}


_REFUSALS: Final = """
    SELECT reason, layer, ((at - %(began)s) / %(span)s)::integer AS span, count(*)
    FROM (SELECT coalesce(reason, 'UNKNOWN') AS reason,
                 (extract(epoch FROM "timestamp") * 1000)::bigint AS at,
                 (SELECT min((l->>'layer')::integer) FROM jsonb_array_elements(layers) AS l
                  WHERE l->>'verdict' = 'FAIL') AS layer
          FROM risk_decisions
          WHERE run_id = %(run)s AND verdict = 'REJECTED' AND NOT reduce_only) AS refused
    GROUP BY 1, 2, 3
"""
