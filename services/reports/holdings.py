"""What a run holds and what it closed, from the tables: open positions, trades, and the runs."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from services.runtime.database.connections import Connection


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """One open position as the record has it; money in quote, times in Unix ms.

    Attributes:
        side: BUY for a long one.
        quantity: In the contract's unit, > 0.
        priced_at: When its price was made; None where that is not known.
        price_age_s: How old the price was at ``as_of``, in seconds; None as above.
        as_of: Event time up to which the run is recorded.
    """

    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    priced_at: int | None
    price_age_s: Decimal | None
    notional: Decimal
    unrealised_profit: Decimal
    stop_loss_price: Decimal | None
    liquidation_price: Decimal | None
    leverage: Decimal
    margin: Decimal
    opened_at: int
    as_of: int


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """One row of table ``trades``; ``docs/ACCOUNTING.md`` defines its figures.

    Attributes:
        trade_id, order_id: ``claire explain`` takes both.
        opened_at, closed_at: Event time, Unix ms.
    """

    trade_id: str
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    exit_reason: str
    gross_profit: Decimal
    fees_open: Decimal
    fees_close: Decimal
    funding: Decimal
    slippage_cost: Decimal
    spread_cost: Decimal
    impact_cost: Decimal
    profit_loss: Decimal
    opened_at: int
    closed_at: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a line; times in Unix ms, money in quote.

    Attributes:
        started_at: When it was started.
        ended_at: Event time of its end; None while it goes on, or if it was cut off.
        equity: At its last snapshot; None before the first.
        net_profit: Of its closed trades.
        halts: Times that the account was halted.
    """

    run_id: str
    source: str
    code_version: str
    started_at: int
    ended_at: int | None
    end_reason: str | None
    equity: Decimal | None
    signals: int
    trades: int
    net_profit: Decimal
    open_positions: int
    halts: int


def open_positions(connection: Connection, run_id: str) -> tuple[OpenPosition, ...]:
    """The positions of one run that are open where its record ends, by symbol.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
    """
    rows = connection.execute(_POSITIONS, {"run": run_id}).fetchall()
    return tuple(OpenPosition(*row) for row in rows)


def closed_trades(
    connection: Connection, run_id: str, *, symbol: str | None = None, newest: int | None = None
) -> tuple[ClosedTrade, ...]:
    """The closing fills of one run, in order.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
        symbol: Only this one.
        newest: Only so many of the newest; None for all.
    """
    asked = {"run": run_id, "symbol": symbol, "newest": newest}
    rows = connection.execute(_TRADES, asked).fetchall()
    return tuple(ClosedTrade(*row) for row in reversed(rows))


def recorded_runs(connection: Connection) -> tuple[RunRow, ...]:
    """Every run, the oldest first.

    Args:
        connection: As a role that may read everything.
    """
    return tuple(RunRow(*row) for row in connection.execute(_RUNS).fetchall())


_POSITIONS: Final = """
    WITH recorded AS (
        SELECT max(at) AS at FROM (
            SELECT max("timestamp") AS at FROM portfolio_snapshots WHERE run_id = %(run)s
            UNION ALL SELECT max(updated_at) FROM positions WHERE run_id = %(run)s
        ) AS last
    )
    SELECT symbol, CASE WHEN quantity > 0 THEN 'BUY' ELSE 'SELL' END, abs(quantity), entry_price,
        mark_price, (extract(epoch FROM priced_at) * 1000)::bigint,
        round(extract(epoch FROM at - priced_at), 3), notional, unrealised_profit, stop_loss_price,
        liquidation_price, leverage, margin, (extract(epoch FROM opened_at) * 1000)::bigint,
        (extract(epoch FROM at) * 1000)::bigint
    FROM positions, recorded WHERE run_id = %(run)s AND quantity <> 0 ORDER BY symbol
"""
_TRADES: Final = """
    SELECT trade_id, order_id, symbol, side, quantity, entry_price, exit_price, exit_reason,
        gross_profit, fees_open, fees_close, funding, slippage_cost, spread_cost, impact_cost,
        profit_loss, (extract(epoch FROM opened_at) * 1000)::bigint,
        (extract(epoch FROM closed_at) * 1000)::bigint
    FROM trades
    WHERE run_id = %(run)s AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
    ORDER BY seq DESC LIMIT %(newest)s
"""
_RUNS: Final = """
    SELECT run_id, source, code_version, (extract(epoch FROM started_at) * 1000)::bigint,
        (extract(epoch FROM ended_at) * 1000)::bigint, end_reason,
        (SELECT equity FROM portfolio_snapshots AS p WHERE p.run_id = r.run_id
            ORDER BY seq DESC LIMIT 1),
        (SELECT count(*) FROM signals AS s WHERE s.run_id = r.run_id),
        (SELECT count(*) FROM trades AS t WHERE t.run_id = r.run_id),
        (SELECT coalesce(sum(profit_loss), 0) FROM trades AS t WHERE t.run_id = r.run_id),
        (SELECT count(*) FROM positions AS p WHERE p.run_id = r.run_id AND quantity <> 0),
        (SELECT count(*) FROM trading_state_changes AS c WHERE c.run_id = r.run_id
            AND symbol IS NULL AND state = 'HALTED' AND previous <> 'HALTED')
    FROM runs AS r ORDER BY seq
"""
