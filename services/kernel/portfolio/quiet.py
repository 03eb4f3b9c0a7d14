"""Rows of a market on which nothing happens to an account without positions."""

from services.kernel.market.rows import Rows
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.units import DAY_MS


def quiet_until(portfolio: Portfolio, rows: Rows, row: int) -> int:
    """Up to which row the account stays as it is; ``row`` where that is not certain."""
    state = portfolio.state
    if state.positions:
        return row
    if any(not market.awaits_nothing for market in state.pricing.values()):
        return row
    return rows.first_clock(row, (state.day + 1) * DAY_MS)


def advance(portfolio: Portfolio, rows: Rows, row: int, upto: int) -> None:
    """Become what the quiet rows from ``row`` to before ``upto`` make of it."""
    for symbol, trades in rows.trades(row, upto):
        portfolio.state.pricing[symbol].skip(trades)
