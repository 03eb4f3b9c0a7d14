"""The figures of a run: stats."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from decimal import Decimal

import click
from rich.table import Table

from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.look.account import show_positions
from services.cli.record_access import open_database_record
from services.cli.target import Where, on_option
from services.cli.terminal import say, wide_console
from services.explain.figures import counted, moment, number, percent
from services.kernel.events import TradingState
from services.record.reading import RecordError
from services.record.runs import choose_run, runs_of
from services.reports import trading_statistics
from services.reports.trading_days import TradingDay, trading_days
from services.reports.trading_statistics import Statistics, TradeFigures

EXITS_SHOWN = 3
"""Exits with the largest price gaps; ``--json`` has all."""


@click.command(epilog="Example: claire stats --run last --days")
@on_option
@click.option("--run", "run_id", default="last", show_default=True, help="Which run.")
@click.option("--days", "by_day", is_flag=True, help="Its UTC days instead, one row each.")
@json_option
def stats(where: Where | None, run_id: str, by_day: bool, as_json: bool) -> None:
    """Show what a run earned and cost: trades, costs, drift of fills, halts, open positions.

    Drift is how far the market had moved from the price that an order was decided at (a stop: from
    its stop-loss price) to the fill, before spread and impact; positive is against us.
    """
    with open_database_record(where) as record:
        try:
            run = choose_run(runs_of(record), run_id)
        except RecordError as error:
            raise Failure(str(error)) from None
        if by_day:
            _show_days(run.run_id, trading_days(record.connection, run.run_id), as_json=as_json)
            return
        found = trading_statistics.compute(record.connection, run.run_id)
    if as_json:
        say(json.dumps(found.to_json()))
    else:
        _show(found)


def _show(found: Statistics) -> None:
    console = wide_console()
    title = f"closed trades of run {found.run_id[:12]}; money in quote, net of all fees and funding"
    table = Table(title=title, title_justify="left")
    for heading in ("symbol", "trades", "won", "net", "fees", "funding", "average win"):
        table.add_column(heading, justify="left" if heading == "symbol" else "right")
    for heading in ("average loss", "profit factor", "expectancy", "largest loss", "held (median)"):
        table.add_column(heading, justify="right")
    for row in (*found.symbols, found.total):
        table.add_row(*_cells(row))
    console.print(table)
    _show_account(found.account)
    say("orders: " + (", ".join(f"{s} {n:,}" for s, n in found.orders.items()) or "none"))
    say(
        f"fills: slippage median {number(found.slippage_bps[0])} bp, 95th percentile"
        f" {number(found.slippage_bps[1])} bp; latency median {number(found.latency_ms[0])} ms,"
        f" 95th percentile {number(found.latency_ms[1])} ms"
    )
    _show_costs(found)
    _show_halts(found)
    if found.open_positions:
        show_positions(found.run_id, found.open_positions)
    say("recorded: " + ", ".join(f"{kind} {n:,}" for kind, n in found.events.items()))


def _show_costs(found: Statistics) -> None:
    drift = sum((kind.money for kind in found.fill_drift.values()), Decimal(0))
    say(
        f"contained in the prices of all fills: spread {_money(found.spread)}, impact"
        f" {_money(found.impact)}, drift {_money(drift)}"
    )
    parts = [
        f"{kind} {number(one.bp)} bp = {_money(one.money)} ({one.in_our_favour} of"
        f" {counted(one.fills, 'fill')} in our favour)"
        for kind, one in found.fill_drift.items()
        if one.fills
    ]
    if parts:
        say("drift of fills, positive is against us: " + ", ".join(parts))
    gaps = sorted(found.exits, key=lambda fill: fill.drift, reverse=True)[:EXITS_SHOWN]
    for fill in (fill for fill in gaps if fill.drift > 0):
        say(
            f"  {moment(fill.at)[:19]} {fill.symbol} {fill.reason.replace('_', ' ')}: market"
            f" {number(fill.market_price)} against {number(fill.reference_price)},"
            f" {number(fill.drift_bp)} bp = {_money(fill.drift)} (order {fill.order_id[:12]})"
        )


def _show_halts(found: Statistics) -> None:
    if found.halted_before:
        say(f"halted when the run began: {found.halted_before}")
    for change in found.halts:
        if change.state == TradingState.HALTED:
            say(f"halted {moment(change.at)[:19]}: {change.reason}: {change.message}")
        else:
            reason = change.reset_reason or change.message
            say(f"released {moment(change.at)[:19]}: {reason}")
    if not found.halted_before and not found.halts:
        say("halts: none")


def _show_days(run_id: str, days: tuple[TradingDay, ...], *, as_json: bool) -> None:
    if as_json:
        rows = [{name: _plain(value) for name, value in asdict(day).items()} for day in days]
        say(json.dumps({"run_id": run_id, "days": rows}))
        return
    table = Table(title=f"days (UTC) of run {run_id[:12]}", title_justify="left")
    table.add_column("day")
    for heading in ("begins", "lowest", "ends", "worst", "trades", "fees", "stops", "gaps over"):
        table.add_column(heading, justify="right")
    for heading in ("halts", "releases", "liquidations", "nearest to it"):
        table.add_column(heading, justify="right")
    for day in days:
        near = day.nearest_liquidation_pct
        table.add_row(
            *(str(day.day), _money(day.begin), _money(day.lowest), _money(day.end)),
            *(percent(day.worst_pct), f"{day.trades:,}", _money(day.fees), f"{day.stops:,}"),
            *(_money(day.gap_loss), str(day.halts), str(day.releases), str(day.liquidations)),
            "-" if near is None else percent(near),
        )
    wide_console().print(table)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value


def _show_account(account: Mapping[str, Decimal | None]) -> None:
    began, equity = account["start_equity"], account["equity"]
    if began is None or equity is None:
        return
    change = f" ({percent((equity - began) / began)})" if began > 0 else ""
    say(f"equity {_money(began)} -> {_money(equity)}{change}")
    say(
        f"account: realised {_money(account['realised_profit'])}, unrealised"
        f" {_money(account['unrealised_profit'])}, fees {_money(account['fees'])}, funding"
        f" {_money(account['funding'])}"
    )
    say(
        f"largest drawdown {percent(account['max_drawdown_pct'] or Decimal(0))}, worst day"
        f" {percent(account['worst_day_pct'] or Decimal(0))}"
    )


def _cells(row: TradeFigures) -> tuple[str, ...]:
    won = f"{row.wins} ({row.wins / row.trades:.0%})" if row.trades else "-"
    held = f"{number(row.held_seconds)} s" if row.held_seconds is not None else "-"
    return (
        *(row.symbol or "all", f"{row.trades:,}", won, _money(row.profit), _money(row.fees)),
        _money(row.funding),
        *(_money(row.average_win), _money(row.average_loss), number(row.profit_factor)),
        *(_money(row.expectancy), _money(row.largest_loss), held),
    )


def _money(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
