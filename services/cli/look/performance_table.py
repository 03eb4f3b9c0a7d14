"""The performance of a run as tables on the terminal."""

from datetime import UTC, datetime
from decimal import Decimal

from rich.table import Table

from services.cli.terminal import say, wide_console
from services.reports.performance import Curve, Performance, TradeSet
from services.reports.ratios import Drawdown


def show_performance(found: Performance) -> None:
    """Print the run beside buying and holding, its trades, and its costs."""
    curves = Table(title=f"performance, returns per {found.period}", title_justify="left")
    curves.add_column("")
    for heading in ("this run", "buy and hold", "doing nothing"):
        curves.add_column(heading, justify="right")
    columns = [_curve(curve) for curve in (found.account, found.held, found.nothing)]
    for name in columns[0]:
        curves.add_row(name, *(column[name] for column in columns))
    trades = Table(title="closed positions, net of all costs", title_justify="left")
    trades.add_column("")
    for heading in ("all", "long", "short"):
        trades.add_column(heading, justify="right")
    sets = [_trades(one) for one in (found.total, found.long, found.short)]
    for name in sets[0]:
        trades.add_row(name, *(one[name] for one in sets))
    console = wide_console()
    console.print(curves)
    console.print(trades)
    costs = ", ".join(f"{name} {amount:,.2f}" for name, amount in found.costs.items())
    say(f"costs in quote: {costs} ({found.costs_pct:.2%} of the equity at the start)")
    say(
        f"in the market {found.time_in_market:.1%} of the time, exposure {found.exposure_mean:.1%}"
        f" on average and {found.exposure_max:.1%} at most, turnover {found.turnover:.2f}"
    )


def _curve(curve: Curve) -> dict[str, str]:
    return {
        "return": _percent(curve.total_return),
        "a year": _percent(curve.annual_return),
        "volatility a year": _share(curve.volatility),
        "Sharpe": _ratio(curve.sharpe),
        "Sortino": _ratio(curve.sortino),
        "Calmar": _ratio(curve.calmar),
        "largest drawdown": _drawdown(curve.drawdown),
        "value at risk 95 %": _share(curve.value_at_risk),
        "expected shortfall 95 %": _share(curve.expected_shortfall),
    }


def _trades(one: TradeSet) -> dict[str, str]:
    return {
        "trades": f"{one.trades:,}",
        "net": f"{one.net:,.2f}",
        "won": "-" if one.win_rate is None else f"{one.wins:,} ({one.win_rate:.0%})",
        "profit factor": _ratio(one.profit_factor),
        "expectancy": _money(one.expectancy),
        "average win": _money(one.average_win),
        "average loss": _money(one.average_loss),
        "largest loss": _money(one.largest_loss),
        "longest losing row": str(one.longest_losing_row),
        "SQN": _ratio(one.quality),
        "held (median)": "-" if one.held_s is None else f"{one.held_s / 60:,.1f} min",
    }


def _drawdown(found: Drawdown | None) -> str:
    if found is None:
        return "none"
    end = "not recovered" if found.end is None else f"until {_day(found.end)}"
    return f"{found.pct:.2%} from {_day(found.start)}, {end}"


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%m-%d %H:%M")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _money(value: float | Decimal | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
