"""What a run holds and what it closed: positions, trades, runs."""

import json
from dataclasses import asdict
from decimal import Decimal

import click
from rich.table import Table

from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.record_access import open_database_record
from services.cli.target import Where, on_option
from services.cli.terminal import say, wide_console
from services.explain.figures import age, counted, moment, number
from services.kernel.events import Side
from services.record.database import DatabaseRecord
from services.record.reading import RecordError
from services.record.runs import choose_run, runs_of
from services.reports import holdings
from services.reports.holdings import ClosedTrade, OpenPosition, RunRow
from services.reports.trading_statistics import plain_json

ID_SHOWN = 12
"""Characters of an id in a table; `claire explain` takes the beginning of an id."""

run_option = click.option("--run", "run_id", default="last", show_default=True, help="Which run.")


@click.command(epilog="Examples: claire positions · claire positions --run last --json")
@on_option
@run_option
@json_option
def positions(where: Where | None, run_id: str, as_json: bool) -> None:
    """List the open positions of a run: entry, price and its age, profit, stop, liquidation.

    PRICE AGE is how old the price is that a position is valued at, at the last recorded minute.
    """
    with open_database_record(where) as record:
        run = _chosen(record, run_id)
        found = holdings.open_positions(record.connection, run)
    if as_json:
        rows = [plain_json(asdict(position)) for position in found]
        say(json.dumps({"run_id": run, "positions": rows}))
        return
    show_positions(run, found)


def show_positions(run_id: str, found: tuple[OpenPosition, ...]) -> None:
    """Print the open positions of a run as a table."""
    if not found:
        say(f"run {run_id[:ID_SHOWN]} has no open position")
        return
    title = f"open positions of run {run_id[:ID_SHOWN]} at {moment(found[0].as_of)}"
    table = Table(title=title, title_justify="left")
    for heading in ("symbol", "side"):
        table.add_column(heading)
    for heading in ("quantity", "entry", "price", "price age", "notional", "unrealised", "stop"):
        table.add_column(heading, justify="right")
    for heading in ("liquidation", "leverage", "opened"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            *(row.symbol, _position_side(row.side), number(row.quantity), _price(row.entry_price)),
            *(_price(row.mark_price), price_age(row.price_age_s), f"{row.notional:,.2f}"),
            *(f"{row.unrealised_profit:,.2f}", _price(row.stop_loss_price)),
            *(_price(row.liquidation_price), f"{number(row.leverage)}x", moment(row.opened_at)),
        )
    wide_console().print(table)


def price_age(seconds: Decimal | None) -> str:
    """The age of a position's price."""
    return "unknown" if seconds is None else age(float(seconds))


@click.command(epilog="Examples: claire trades --symbol BTC_USDT · claire trades --count 9 --json")
@on_option
@run_option
@click.option("--symbol", help="Only this symbol, for instance BTC_USDT.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="So many of the newest.",
)
@json_option
def trades(where: Where | None, run_id: str, symbol: str | None, count: int, as_json: bool) -> None:
    """List the closed trades of a run: prices, exit reason, gross profit, each cost, net profit.

    Net is gross less the fees of opening and closing, plus funding. Slippage is contained in the
    prices, and so in gross. `claire explain` takes the id of a trade.
    """
    with open_database_record(where) as record:
        run = _chosen(record, run_id)
        found = holdings.closed_trades(record.connection, run, symbol=symbol, newest=count)
    if as_json:
        rows = [plain_json(asdict(trade)) for trade in found]
        say(json.dumps({"run_id": run, "trades": rows}))
        return
    _show_trades(run, found)


def _show_trades(run_id: str, found: tuple[ClosedTrade, ...]) -> None:
    if not found:
        say(f"no closed trade in run {run_id[:ID_SHOWN]}; `claire why` shows the reasons")
        return
    title = f"closed trades of run {run_id[:ID_SHOWN]}; money in quote"
    table = Table(title=title, title_justify="left")
    for heading in ("trade id", "closed", "symbol", "side"):
        table.add_column(heading, no_wrap=True)
    for heading in ("quantity", "entry", "exit"):
        table.add_column(heading, justify="right")
    table.add_column("exit reason")
    for heading in ("gross", "fees", "funding", "net", "slippage"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            *(row.trade_id[:ID_SHOWN], moment(row.closed_at)[:19], row.symbol),
            *(_position_side(row.side), number(row.quantity), _price(row.entry_price)),
            *(_price(row.exit_price), row.exit_reason.replace("_", " ")),
            *(f"{row.gross_profit:,.2f}", f"{row.fees_open + row.fees_close:,.2f}"),
            *(f"{row.funding:,.2f}", f"{row.profit_loss:,.2f}", f"{row.slippage_cost:,.2f}"),
        )
    wide_console().print(table)
    net = sum((row.profit_loss for row in found), Decimal(0))
    say(f"{counted(len(found), 'trade')}, net {net:,.2f}")


@click.command(epilog="Examples: claire runs · claire runs --on compose --json")
@on_option
@json_option
def runs(where: Where | None, as_json: bool) -> None:
    """List the recorded runs: source, begin, end and why, trades and their net profit, halts."""
    with open_database_record(where) as record:
        found = holdings.recorded_runs(record.connection)
    if as_json:
        say(json.dumps({"runs": [plain_json(asdict(row)) for row in found]}))
        return
    if not found:
        say("no run is recorded; `claire run-paper` starts one")
        return
    table = Table(title="recorded runs, the oldest first", title_justify="left")
    for heading in ("run", "source", "started", "ended", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for heading in ("signals", "trades", "net", "equity", "open", "halts"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(*_run_cells(row))
    wide_console().print(table)


def _run_cells(row: RunRow) -> tuple[str, ...]:
    ended = "-" if row.ended_at is None else moment(row.ended_at)[:19]
    equity = "-" if row.equity is None else f"{row.equity:,.2f}"
    return (
        *(row.run_id[:ID_SHOWN], row.source, moment(row.started_at)[:19], ended),
        *(row.end_reason or "-", f"{row.signals:,}", f"{row.trades:,}", f"{row.net_profit:,.2f}"),
        *(equity, str(row.open_positions), str(row.halts)),
    )


def _chosen(record: DatabaseRecord, run_id: str) -> str:
    try:
        return choose_run(runs_of(record), run_id).run_id
    except RecordError as error:
        raise Failure(str(error)) from None


def _position_side(side: str) -> str:
    return "long" if side == Side.BUY else "short"


def _price(value: Decimal | None) -> str:
    """A price, with at most ten significant digits: an average of many fills has no end."""
    return "-" if value is None else number(Decimal(f"{value:.10g}"))
