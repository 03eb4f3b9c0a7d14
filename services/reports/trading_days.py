"""A run's UTC days, from the record: what each earned and lost, what stopped it, what was near."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from services.reports.run_result import price_gaps
from services.runtime.database.connections import Connection

ZERO: Final = Decimal(0)
MS_PER_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One UTC day of the account. Money in quote, ``_pct`` positive fractions.

    Attributes:
        begin, lowest, end: Equity at the day's first, lowest and last minute.
        worst_pct: From ``begin`` to ``lowest``.
        trades: Closing fills.
        stops, liquidations: Exits that risk ordered.
        halts, releases: Of the account.
        nearest_liquidation_pct: The least distance of a mark price from its position's liquidation
            price; None without a position.
        gap_loss: What prices cost that jumped over a stop.
    """

    day: date
    begin: Decimal
    lowest: Decimal
    end: Decimal
    worst_pct: Decimal
    trades: int
    fees: Decimal
    stops: int
    liquidations: int
    halts: int
    releases: int
    nearest_liquidation_pct: Decimal | None
    gap_loss: Decimal


def trading_days(connection: Connection, run_id: str) -> tuple[TradingDay, ...]:
    """The days of one run that has snapshots, in order.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
    """
    losses: dict[date, Decimal] = {}
    for gap in price_gaps(connection, run_id):
        day = date.fromordinal(date(1970, 1, 1).toordinal() + gap.at // MS_PER_DAY)
        losses[day] = losses.get(day, ZERO) + gap.loss
    rows = connection.execute(_DAYS, {"run": run_id}).fetchall()
    return tuple(TradingDay(*(*row, losses.get(row[0], ZERO))) for row in rows)


_DAYS: Final = """
    WITH minutes AS (
        SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day, seq, equity, fees, positions
        FROM portfolio_snapshots WHERE run_id = %(run)s
    ), days AS (
        SELECT day, (array_agg(equity ORDER BY seq))[1] AS begun, min(equity) AS lowest,
               (array_agg(equity ORDER BY seq DESC))[1] AS ended, max(fees) AS fees
        FROM minutes GROUP BY day
    ), near AS (
        SELECT day, min(abs((p ->> 'mark_price')::numeric - (p ->> 'liquidation_price')::numeric)
                        / (p ->> 'mark_price')::numeric) AS distance
        FROM minutes, jsonb_array_elements(positions) AS p GROUP BY day
    ), closed AS (
        SELECT (closed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS trades
        FROM trades WHERE run_id = %(run)s GROUP BY 1
    ), exits AS (
        SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day,
               count(*) FILTER (WHERE origin = 'stop_loss') AS stops,
               count(*) FILTER (WHERE origin = 'liquidation') AS liquidations
        FROM risk_decisions WHERE run_id = %(run)s AND reduce_only GROUP BY 1
    ), halts AS (
        SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day,
               count(*) FILTER (WHERE state = 'HALTED') AS halts,
               count(*) FILTER (WHERE previous = 'HALTED') AS releases
        FROM trading_state_changes
        WHERE run_id = %(run)s AND symbol IS NULL AND state <> previous GROUP BY 1
    )
    SELECT day, begun, lowest, ended,
           CASE WHEN begun > 0 THEN (begun - lowest) / begun ELSE 0 END, coalesce(trades, 0),
           fees - coalesce(lag(fees) OVER (ORDER BY day), 0), coalesce(stops, 0),
           coalesce(liquidations, 0), coalesce(halts, 0), coalesce(releases, 0), distance
    FROM days LEFT JOIN near USING (day) LEFT JOIN closed USING (day) LEFT JOIN exits USING (day)
         LEFT JOIN halts USING (day)
    ORDER BY day
"""
