"""What trading earned and cost, from the record: trades, orders, the account, the events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from services.runtime.database import Connection

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """Closed trades of one symbol, or of all. Money in quote currency, after fees.

    Attributes:
        wins: Trades that earned more than nothing.
        profit_factor: What the winners earned over what the others lost; None without losers.
        expectancy: Average profit of a trade.
        held_seconds: Median time that a position was open.
    """

    symbol: str
    trades: int
    wins: int
    profit: Decimal
    fees: Decimal
    average_win: Decimal | None
    average_loss: Decimal | None
    profit_factor: Decimal | None
    expectancy: Decimal | None
    largest_loss: Decimal | None
    held_seconds: Decimal | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of one run.

    Attributes:
        total: Over all symbols.
        orders: By status.
        slippage_bps, latency_ms: Median and 95th percentile over all fills.
        account: Equity at the end, drawdowns, fees, funding.
        events: Recorded rows by type; ticks by kind.
    """

    run_id: str
    total: TradeFigures
    symbols: tuple[TradeFigures, ...]
    orders: Mapping[str, int]
    slippage_bps: tuple[Decimal | None, Decimal | None]
    latency_ms: tuple[Decimal | None, Decimal | None]
    account: Mapping[str, Decimal | None]
    events: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; decimals as text."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def compute(connection: Connection, run_id: str) -> Statistics:
    """Compute the statistics of one run.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
    """

    def rows(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement, {"run": run_id}).fetchall()

    figures = [_figures(row) for row in rows(_TRADES)]
    execution = rows(_EXECUTION)[0]
    account = rows(_ACCOUNT)
    return Statistics(
        run_id=run_id,
        total=next(row for row in figures if not row.symbol),
        symbols=tuple(row for row in figures if row.symbol),
        orders={str(status): int(count) for status, count in rows(_ORDERS)},
        slippage_bps=(execution[0], execution[1]),
        latency_ms=(execution[2], execution[3]),
        account=dict(zip(_ACCOUNT_NAMES, account[0] if account else [None] * 7, strict=True)),
        events={str(kind): int(count) for kind, count in rows(_EVENTS)},
    )


def _figures(row: tuple[Any, ...]) -> TradeFigures:
    symbol, trades, wins, profit, fees, won, lost, worst, held = row
    losers = trades - wins
    return TradeFigures(
        symbol=symbol or "",
        trades=trades,
        wins=wins,
        profit=profit,
        fees=fees,
        average_win=_mean(won, wins),
        average_loss=_mean(lost, losers),
        profit_factor=_quotient(won, -lost) if lost else None,
        expectancy=_mean(profit, trades),
        largest_loss=worst if worst is not None and worst < 0 else None,
        held_seconds=held,
    )


def _mean(total: Decimal, count: int) -> Decimal | None:
    return _quotient(total, Decimal(count)) if count else None


def _quotient(value: Decimal, by: Decimal) -> Decimal:
    return (value / by).quantize(Decimal("0.0001"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


_TRADES: Final = """
    WITH closed AS (
        SELECT symbol, profit_loss - fees AS net, fees,
               extract(epoch FROM closed_at - opened_at) AS held
        FROM trades WHERE run_id = %(run)s
    )
    SELECT symbol, count(*), count(*) FILTER (WHERE net > 0), coalesce(sum(net), 0),
           coalesce(sum(fees), 0), coalesce(sum(net) FILTER (WHERE net > 0), 0),
           coalesce(sum(net) FILTER (WHERE net <= 0), 0), min(net),
           round((percentile_cont(0.5) WITHIN GROUP (ORDER BY held))::numeric, 3)
    FROM closed GROUP BY GROUPING SETS ((symbol), ()) ORDER BY symbol NULLS FIRST
"""
_ORDERS: Final = """
    SELECT status, count(*) FROM orders WHERE run_id = %(run)s GROUP BY status ORDER BY status
"""
_EXECUTION: Final = """
    SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY slippage_bps))::numeric, 4),
           round((percentile_cont(0.95) WITHIN GROUP (ORDER BY slippage_bps))::numeric, 4),
           round((percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms))::numeric, 1),
           round((percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms))::numeric, 1)
    FROM orders WHERE run_id = %(run)s AND filled_quantity > 0
"""
_ACCOUNT_NAMES: Final = (
    *("equity", "realised_profit", "unrealised_profit", "fees", "funding"),
    *("max_drawdown_pct", "worst_day_pct"),
)
_ACCOUNT: Final = """
    SELECT equity, realised_profit, unrealised_profit, fees, funding, max_drawdown_pct,
           worst_day_pct
    FROM portfolio_snapshots WHERE run_id = %(run)s ORDER BY seq DESC LIMIT 1
"""
_EVENTS: Final = """
    SELECT type, count(*) FROM events WHERE run_id = %(run)s GROUP BY type
    UNION ALL
    SELECT 'tick: ' || kind, count(*) FROM market_data WHERE run_id = %(run)s GROUP BY kind
    ORDER BY 1
"""
