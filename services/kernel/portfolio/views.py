"""The account as people see it: every open position, and every symbol's part of the whole."""

from decimal import Decimal

from services.kernel.events import PositionView, SymbolView
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.units import ZERO


def text(ratio: Decimal | None) -> str | None:
    """A ratio as a status shows it; None where there is none."""
    return None if ratio is None else str(ratio)


def positions(portfolio: Portfolio) -> tuple[PositionView, ...]:
    """The open positions, by symbol."""
    profits = portfolio.profits
    return tuple(
        PositionView(
            symbol=symbol,
            quantity=position.quantity,
            entry_price=position.entry_price,
            mark_price=position.mark_price,
            notional=position.notional,
            unrealised_profit=profits[symbol],
            stop_loss_price=position.stop_loss_price,
            take_profit_price=position.take_profit_price,
            leverage=position.leverage,
            inverse=position.inverse,
            margin=position.initial_margin,
            maintenance_margin=position.maintenance_margin,
            liquidation_price=portfolio.liquidation_price(symbol),
            priced_at=portfolio.priced_at(symbol),
        )
        for symbol, position in sorted(portfolio.state.positions.items())
    )


def symbols(portfolio: Portfolio) -> tuple[SymbolView, ...]:
    """What every symbol that was traded in this run has brought, by symbol."""
    state, profits = portfolio.state, portfolio.profits
    return tuple(
        SymbolView(
            symbol=symbol,
            profit=book.profit,
            realised_profit=book.realised_profit,
            unrealised_profit=profits.get(symbol, ZERO),
            fees=book.fees,
            funding=book.funding,
            exposure=position.notional if position else ZERO,
            margin=position.initial_margin if position else ZERO,
            daily_drawdown=max(book.day_start_profit - book.profit, ZERO),
            drawdown=book.peak_profit - book.profit,
            max_drawdown=book.max_drawdown,
            round_trips=book.round_trips,
            wins=book.wins,
        )
        for symbol, book in sorted(state.books.items())
        for position in (state.positions.get(symbol),)
    )
