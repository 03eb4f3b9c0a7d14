"""What trading earned and cost, from the record: trades, orders, the account, the events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final, NamedTuple

from services.explain.figures import number
from services.reports.fill_drift import ENTRIES, Drift, DriftedFill, by_kind, drifted_fills
from services.reports.holdings import OpenPosition, open_positions
from services.reports.run_result import StateChange, state_changes
from services.runtime.database.connections import Connection

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """Closed trades of one symbol, or of all. Money in quote currency.

    Attributes:
        profit: Net of the fees of opening and closing, and of funding.
        gross: From the prices of the fills, before fees and funding.
        fees: Of opening and closing.
        funding: Received; negative where more was paid.
        slippage: How much worse the fills were than the prices decided at; contained in ``gross``.
        spread, impact: The parts of ``slippage`` that are half-spreads, and beyond the touch.
        wins: Trades that earned more than nothing.
        profit_factor: What the winners earned over what the others lost; None without losers.
        expectancy: Average profit of a trade.
        held_seconds: Median time that a position was open.
    """

    symbol: str
    trades: int
    wins: int
    profit: Decimal
    gross: Decimal
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    spread: Decimal
    impact: Decimal
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
        account: Equity at the beginning and end, drawdowns, fees, funding.
        fill_drift: How far the market had moved against entries, exits and stops when they filled.
        spread, impact: What half the spread and the impact of all fills cost, in quote.
        exits: The exits and stops that were filled at the market, with their price gaps.
        halted_before: Why the run began halted; None where it did not.
        halts: Halts of the account and their releases.
        open_positions: Where the record ends.
        events: Recorded rows by type; ticks by kind.
    """

    run_id: str
    total: TradeFigures
    symbols: tuple[TradeFigures, ...]
    orders: Mapping[str, int]
    slippage_bps: tuple[Decimal | None, Decimal | None]
    latency_ms: tuple[Decimal | None, Decimal | None]
    account: Mapping[str, Decimal | None]
    fill_drift: Mapping[str, Drift]
    spread: Decimal
    impact: Decimal
    exits: tuple[DriftedFill, ...]
    halted_before: str | None
    halts: tuple[StateChange, ...]
    open_positions: tuple[OpenPosition, ...]
    events: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; decimals as text."""
        plain: dict[str, Any] = plain_json(asdict(self))
        del plain["fill_drift"]
        for name in ("bp", "money", "fills", "in_our_favour"):
            figures = {kind: getattr(drift, name) for kind, drift in self.fill_drift.items()}
            plain[f"fill_drift_{name}"] = plain_json(figures)
        for found, shown in zip(self.exits, plain["exits"], strict=True):
            shown["drift_bp"] = number(found.drift_bp)
        return plain


def compute(connection: Connection, run_id: str) -> Statistics:
    """Compute the statistics of one run.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
    """

    def rows(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement, {"run": run_id}).fetchall()

    trades = [_Trade(*row) for row in rows(_TRADES)]
    fills = drifted_fills(connection, run_id)
    execution = rows(_EXECUTION)[0]
    account = rows(_ACCOUNT) or [(None,) * len(_ACCOUNT_NAMES)]
    return Statistics(
        run_id=run_id,
        total=_figures("", trades),
        symbols=tuple(
            _figures(symbol, [trade for trade in trades if trade.symbol == symbol])
            for symbol in sorted({trade.symbol for trade in trades})
        ),
        orders={str(status): int(count) for status, count in rows(_ORDERS)},
        slippage_bps=(execution[0], execution[1]),
        latency_ms=(execution[2], execution[3]),
        account=dict(
            zip(
                _ACCOUNT_NAMES, account[0] if account else [None] * len(_ACCOUNT_NAMES), strict=True
            )
        ),
        fill_drift=by_kind(fills),
        spread=sum((fill.spread for fill in fills), ZERO),
        impact=sum((fill.impact for fill in fills), ZERO),
        exits=tuple(fill for fill in fills if fill.kind != ENTRIES),
        halted_before=rows(_HALTED_BEFORE)[0][0],
        halts=state_changes(connection, run_id),
        open_positions=open_positions(connection, run_id),
        events={str(kind): int(count) for kind, count in rows(_EVENTS)},
    )


class _Trade(NamedTuple):
    """A closed trade; ``held_s`` is how long it was open, in seconds."""

    symbol: str
    net: Decimal
    gross: Decimal
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    spread: Decimal
    impact: Decimal
    held_s: Decimal


def _figures(symbol: str, trades: list[_Trade]) -> TradeFigures:
    won = [trade.net for trade in trades if trade.net > 0]
    lost = [trade.net for trade in trades if trade.net <= 0]
    totals = {
        name: sum((getattr(trade, name) for trade in trades), ZERO)
        for name in ("net", "gross", "fees", "funding", "slippage", "spread", "impact")
    }
    profit = totals.pop("net")
    losses = sum(lost, ZERO)
    held = median(trade.held_s for trade in trades) if trades else None
    return TradeFigures(
        symbol=symbol,
        trades=len(trades),
        wins=len(won),
        profit=profit,
        **totals,
        average_win=_mean(sum(won, ZERO), len(won)),
        average_loss=_mean(losses, len(lost)),
        profit_factor=_quotient(sum(won, ZERO), -losses) if losses else None,
        expectancy=_mean(profit, len(trades)),
        largest_loss=min(lost, default=None),
        held_seconds=None if held is None else held.quantize(Decimal("0.001")),
    )


def _mean(total: Decimal, count: int) -> Decimal | None:
    return _quotient(total, Decimal(count)) if count else None


def _quotient(value: Decimal, by: Decimal) -> Decimal:
    return (value / by).quantize(Decimal("0.0001"))


def plain_json(value: Any) -> Any:
    """A structure of dicts, sequences and decimals as JSON values; decimals as text."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, dict):
        return {name: plain_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(inner) for inner in value]
    return value


_TRADES: Final = """
    SELECT symbol, profit_loss, gross_profit, fees_open + fees_close, funding, slippage_cost,
        spread_cost, impact_cost, extract(epoch FROM closed_at - opened_at)
    FROM trades WHERE run_id = %(run)s ORDER BY seq
"""
_HALTED_BEFORE: Final = "SELECT account ->> 'halted' FROM runs WHERE run_id = %(run)s"
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
    *("start_equity", "equity", "realised_profit", "unrealised_profit", "fees", "funding"),
    *("max_drawdown_pct", "worst_day_pct"),
)
_ACCOUNT: Final = """
    SELECT (SELECT equity FROM portfolio_snapshots WHERE run_id = %(run)s ORDER BY seq LIMIT 1),
           equity, realised_profit, unrealised_profit, fees, funding, max_drawdown_pct,
           worst_day_pct
    FROM portfolio_snapshots WHERE run_id = %(run)s ORDER BY seq DESC LIMIT 1
"""
_EVENTS: Final = """
    SELECT type, count(*) FROM events WHERE run_id = %(run)s GROUP BY type
    UNION ALL
    SELECT 'tick: ' || kind, count(*) FROM market_data WHERE run_id = %(run)s GROUP BY kind
    ORDER BY 1
"""
