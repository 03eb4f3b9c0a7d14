"""Margin is a cap: what positions lose at most, and the worst price at which one is closed.

An isolated position is backed by its own margin, a cross-margined one by the account's equity. A
price may jump over the point where that is used up. What is lost beyond it is the venue's loss.
"""

from collections.abc import Mapping
from decimal import Decimal

from services.kernel.instruments import perpetuals
from services.kernel.instruments.rounding import rounded
from services.kernel.portfolio.account import PortfolioState
from services.kernel.units import ZERO

FEE_ROUNDING = Decimal("0.000001")
"""Quote kept back for fees, which are rounded up to `MONEY_STEP` in each of many partial fills."""


def shared(cash: Decimal, profits: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The profit of each position when the account cannot pay all losses.

    Gains stay. Losses are reduced in equal proportion, so that the account is worth nothing.

    Args:
        cash: The account's equity without unrealised profit, in quote.
        profits: Unrealised profit at the mark price by symbol, in quote.

    Returns:
        Profits by symbol; unchanged where the account can pay.
    """
    gains = sum((profit for profit in profits.values() if profit > 0), ZERO)
    losses = gains - sum(profits.values(), ZERO)
    payable = max(cash + gains, ZERO)
    if losses <= payable:
        return dict(profits)
    return {
        symbol: profit if profit > 0 else rounded(profit * payable / losses, perpetuals.COST_STEP)
        for symbol, profit in profits.items()
    }


def worst_exit_price(state: PortfolioState, symbol: str, fee_rate: Decimal) -> Decimal | None:
    """The worst price at which an open position is closed, quote per base; None where any may be.

    The better one for the position of two: its bankruptcy price, where it has its own margin, and
    the price at which the account's equity is zero after the fee. For the second, losses of other
    positions count only as far as the account's cash pays them.

    Args:
        state: The account; it has a position in ``symbol``.
        symbol: What is closed.
        fee_rate: Of the closing fill, fraction of notional.
    """
    position = state.positions[symbol]
    others = sum((p.unrealised_profit for s, p in state.positions.items() if s != symbol), ZERO)
    backing = state.cash + max(others, min(-state.cash, ZERO)) - FEE_ROUNDING
    is_long = position.quantity > 0
    price = perpetuals.cross_liquidation_price(
        position.quantity,
        position.entry_price,
        backing,
        ZERO,
        liquidation_fee_rate=fee_rate,
        inverse=position.inverse,
    )
    if price is None and not is_long:
        price = ZERO  # no price is low enough: the lowest that there is
    own = position.bankruptcy_price
    if price is None or own is None:
        return own if price is None else price
    return max(price, own) if is_long else min(price, own)
