"""Where signals went: a sum that always adds up, and what came nearest to a trade."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from services.explain.answered import Answered
from services.explain.limits import LIMITS
from services.kernel.events import LayerVerdict
from services.kernel.reasons import Reason
from services.persistence.tables import time_of
from services.runtime.database.connections import Connection

NEAREST: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the record is looked at.

    Attributes:
        run_id: One run; None for all.
        since: Event time, Unix ms; 0 for all.
    """

    run_id: str | None
    since: int


@dataclass(frozen=True, slots=True)
class Miss:
    """A signal that one layer kept from becoming a trade.

    Attributes:
        short_by: How far the value is beyond the limit, as a fraction of the limit.
    """

    event_id: str
    at: int
    symbol: str
    side: str
    reason: str
    layer: int
    name: str
    value: Decimal
    limit: Decimal
    unit: str
    short_by: Decimal


@dataclass(frozen=True, slots=True)
class Funnel:
    """How ticks became trades, and where they did not.

    Attributes:
        trades_seen: Ticks of kind ``trade`` that were not backfilled.
        began, ended: Event time of the first and last tick, Unix ms; None without one.
        signals, exits: All signals, and those that only reduce.
        undecided: Signals without a decision yet, of a run in progress.
        on_entries, on_exits: How signals that open, and that only reduce, were decided.
        own_exits: Orders that risk made itself, by origin.
        outside: Orders posted by hand.
        results: Orders by their status and reason; ``PENDING`` ones have not ended.
        unfilled: Entries whose order ended without a fill, by reason.
        nearest: The rejected entries that came nearest to passing a limit.
    """

    began: int | None
    ended: int | None
    ticks: int
    trades_seen: int
    signals: int
    exits: int
    undecided: int
    on_entries: Answered
    on_exits: Answered
    own_exits: Mapping[str, int]
    outside: int
    orders: int
    results: Mapping[str, int]
    unfilled: Mapping[str, int]
    nearest: tuple[Miss, ...]

    @property
    def rejected(self) -> Counter[str]:
        """All signals that were rejected, by reason."""
        return self.on_entries.rejected + self.on_exits.rejected

    @property
    def nothing_to_reduce(self) -> int:
        """Exits of the strategy that met no open position; they are part of ``rejected``."""
        return self.on_exits.rejected[Reason.NOTHING_TO_REDUCE]

    @property
    def adds_up(self) -> bool:
        """Whether every signal and every order is accounted for."""
        decided = self.on_entries.total + self.on_exits.total
        passed = self.on_entries.passed + self.on_exits.passed
        ended = sum(self.results.values())
        return (
            self.signals == decided + self.undecided
            and self.orders == passed + sum(self.own_exits.values()) + self.outside
            and self.orders == ended
        )

    def to_json(self) -> dict[str, Any]:
        """The funnel as JSON values; decimals as text."""
        return {
            "from": self.began,
            "to": self.ended,
            "ticks": self.ticks,
            "trades_seen": self.trades_seen,
            "signals": self.signals,
            "of_which_exits": self.exits,
            "undecided": self.undecided,
            "approved": self.on_entries.approved + self.on_exits.approved,
            "trimmed": self.on_entries.trimmed + self.on_exits.trimmed,
            "rejected": dict(self.rejected.most_common()),
            "entries": msgspec.to_builtins(self.on_entries),
            "exits": msgspec.to_builtins(self.on_exits),
            "nothing_to_reduce": self.nothing_to_reduce,
            "own_exits": dict(self.own_exits),
            "orders_by_hand": self.outside,
            "orders": self.orders,
            "results": dict(self.results),
            "entries_not_filled": dict(self.unfilled),
            "adds_up": self.adds_up,
            "nearest_misses": [
                {
                    name: str(value) if isinstance(value, Decimal) else value
                    for name, value in (
                        (field, getattr(miss, field)) for field in Miss.__dataclass_fields__
                    )
                }
                for miss in self.nearest
            ],
        }


def funnel(connection: Connection, part: Part) -> Funnel:
    """Count what the record has.

    Args:
        connection: As a role that may read everything, in one consistent view.
        part: Which part of it.
    """
    ask = _Asker(connection, part)
    ticks, trades_seen, began, ended = ask.row(_TICKS)
    signals, exits, undecided = ask.row(_SIGNALS)
    on_entries, on_exits = Answered(), Answered()
    for reduce_only, verdict, reason, times in ask.rows(_VERDICTS):
        (on_exits if reduce_only else on_entries).add(verdict, reason, times)
    return Funnel(
        began=_unix_ms(began),
        ended=_unix_ms(ended),
        ticks=ticks,
        trades_seen=trades_seen,
        signals=signals,
        exits=exits,
        undecided=undecided,
        on_entries=on_entries,
        on_exits=on_exits,
        own_exits=ask.counts(_OWN_EXITS),
        outside=ask.row(_OUTSIDE)[0],
        orders=ask.row(_ORDERS)[0],
        results=ask.counts(_RESULTS),
        unfilled=ask.counts(_UNFILLED),
        nearest=tuple(_miss(row) for row in ask.rows(_NEAREST)),
    )


class _Asker:
    def __init__(self, connection: Connection, part: Part) -> None:
        self._connection = connection
        self._parameters = {
            "run": part.run_id,
            "since": time_of(part.since),
            "fail": LayerVerdict.FAIL.value,
            "nearest": NEAREST,
            "limits": list(LIMITS),
        }

    def rows(self, statement: str) -> list[Any]:
        return self._connection.execute(statement, self._parameters).fetchall()

    def row(self, statement: str) -> Any:
        return self.rows(statement)[0]

    def counts(self, statement: str) -> dict[str, int]:
        return {str(name): int(number) for name, number in self.rows(statement)}


def _unix_ms(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)


def _miss(row: tuple[Any, ...]) -> Miss:
    event_id, at, symbol, side, reason, layer, name, value, limit, unit, short_by = row
    return Miss(
        *(event_id, int(at.timestamp() * 1000), symbol, side, reason, int(layer), name),
        *(value, limit, unit, short_by),
    )


_PART: Final = '(%(run)s::text IS NULL OR run_id = %(run)s) AND "timestamp" >= %(since)s'
_TICKS: Final = f"""
    SELECT count(*) FILTER (WHERE kind <> 'clock'),
           count(*) FILTER (WHERE kind = 'trade' AND NOT backfill),
           min("timestamp"), max("timestamp")
    FROM market_data WHERE {_PART}
"""  # noqa: S608 - a constant
_SIGNALS: Final = f"""
    SELECT count(*), count(*) FILTER (WHERE reduce_only),
           count(*) FILTER (WHERE NOT EXISTS (
               SELECT 1 FROM risk_decisions AS d WHERE d.signal_id = s.signal_id))
    FROM signals AS s WHERE {_PART}
"""  # noqa: S608
_VERDICTS: Final = f"""
    SELECT reduce_only, verdict, reason, count(*) FROM risk_decisions
    WHERE {_PART} AND signal_id IN (SELECT signal_id FROM signals WHERE {_PART})
    GROUP BY reduce_only, verdict, reason ORDER BY count(*) DESC, reason
"""  # noqa: S608
_SUBMITTED: Final = "(%(run)s::text IS NULL OR run_id = %(run)s) AND submitted_at >= %(since)s"
_OWN_EXITS: Final = f"""
    SELECT origin, count(*) FROM orders WHERE {_SUBMITTED} AND NOT external AND origin <> 'signal'
    GROUP BY origin ORDER BY origin
"""  # noqa: S608
_OUTSIDE: Final = f"SELECT count(*) FROM orders WHERE {_SUBMITTED} AND external"  # noqa: S608
_ORDERS: Final = f"SELECT count(*) FROM orders WHERE {_SUBMITTED}"  # noqa: S608
_RESULTS: Final = f"""
    SELECT status || coalesce(' ' || reason, ''), count(*) FROM orders WHERE {_SUBMITTED}
    GROUP BY 1 ORDER BY count(*) DESC, 1
"""  # noqa: S608
_UNFILLED: Final = f"""
    SELECT coalesce(reason, status), count(*) FROM orders
    WHERE {_SUBMITTED} AND NOT external AND NOT reduce_only AND filled_quantity = 0
        AND status NOT IN ('PENDING', 'PARTIALLY_FILLED')
    GROUP BY 1 ORDER BY count(*) DESC, 1
"""  # noqa: S608
_NEAREST: Final = f"""
    SELECT event_id, "timestamp", symbol, side, reason, layer, name, value, "limit", unit,
           round(abs(value - "limit") / "limit", 6) AS short_by
    FROM (
        SELECT d.event_id, d."timestamp", d.symbol, d.side, d.reason,
               l->>'layer' AS layer, l->>'name' AS name, (l->>'value')::numeric AS value,
               (l->>'limit')::numeric AS "limit", l->>'unit' AS unit,
               count(*) OVER (PARTITION BY d.event_id) AS failures
        FROM (SELECT * FROM risk_decisions
              WHERE {_PART} AND verdict = 'REJECTED' AND NOT reduce_only
              AND reason = ANY(%(limits)s)
              ORDER BY seq DESC LIMIT 20000) AS d
        CROSS JOIN LATERAL jsonb_array_elements(d.layers) AS l
        WHERE l->>'verdict' = %(fail)s
    ) AS failed
    WHERE failures = 1 AND value IS NOT NULL AND "limit" > 0
    ORDER BY short_by, "timestamp" LIMIT %(nearest)s
"""  # noqa: S608
