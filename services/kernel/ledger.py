"""The ledger: what a fill does to positions, profit and fees. Fills are the only source of both."""

from decimal import Decimal

from services.kernel import perpetuals
from services.kernel.account import ClosedTrade, Effect, PortfolioState, Position, SymbolBook
from services.kernel.events import OrderResult
from services.kernel.rounding import MONEY_STEP, rounded

ROUND_TRIPS_KEPT = 100


def cost_of(quantity: Decimal, price: Decimal, *, inverse: bool) -> Decimal:
    """What a quantity costs at a price, in settle currency: quote, or coins if inverse.

    Args:
        quantity: In the contract's unit, > 0.
        price: Quote per base, > 0.
        inverse: The kind of contract.
    """
    if inverse:
        return max(rounded(quantity / price, perpetuals.COIN_STEP), perpetuals.COIN_STEP)
    return quantity * price


def book_fill(state: PortfolioState, event: OrderResult) -> tuple[Effect, ...]:
    """Book what an order result filled: first against an opposite position, the rest opens one.

    Args:
        state: Changed in place; its totals of unrealised profit and equity are the caller's.
        event: Its filled quantity is positive and has a price.

    Returns:
        The trade that was closed, if one was.
    """
    price, opened, fees = event.filled_price, event.filled_quantity, event.fees
    assert price is not None, "a fill has a price"
    book = state.books.get(event.symbol)
    if book is None:
        book = state.books[event.symbol] = SymbolBook()
    state.fees += fees
    book.fees += fees
    position = state.positions.get(event.symbol)
    effects: tuple[Effect, ...] = ()
    if position is not None and position.side is not event.side:
        closed = min(opened, abs(position.quantity))
        trade = _close(state, event, position, closed, price)
        effects = (trade,)
        opened -= closed
        fees -= trade.fees
    if opened:
        _open(state, event, opened, price, fees)
    if event.symbol in state.positions:
        state.positions[event.symbol].protect(state.contracts.get(event.symbol))
    return effects


def _close(
    state: PortfolioState, event: OrderResult, position: Position, closed: Decimal, price: Decimal
) -> ClosedTrade:
    whole = abs(position.quantity)
    # Any split is exact: what is not realised now stays in the cost of the rest.
    step = perpetuals.COIN_STEP if position.inverse else perpetuals.COST_STEP
    cost = position.cost if closed == whole else rounded(position.cost * closed / whole, step)
    gained = cost * price - closed if position.inverse else closed * price - cost
    trade = ClosedTrade(
        order_id=event.order_id,
        symbol=event.symbol,
        side=position.side,
        quantity=closed,
        entry_price=position.entry_price,
        exit_price=price,
        profit_loss=gained if position.quantity > 0 else -gained,
        fees=rounded(event.fees * closed / event.filled_quantity, MONEY_STEP),
        slippage_bps=event.slippage_bps,
        opened_at=position.opened_at,
        closed_at=event.timestamp,
    )
    state.realised_profit += trade.profit_loss
    state.books[event.symbol].realised_profit += trade.profit_loss
    position.booked += trade.profit_loss - trade.fees
    if closed == whole:
        _end_round_trip(state, event.symbol, position)
    else:
        position.quantity -= closed if position.quantity > 0 else -closed
        position.cost -= cost
    return trade


def _end_round_trip(state: PortfolioState, symbol: str, position: Position) -> None:
    book = state.books[symbol]
    del state.positions[symbol]
    book.round_trips += 1
    book.wins += position.booked > 0
    state.round_trips.append(position.booked)
    del state.round_trips[:-ROUND_TRIPS_KEPT]


def _open(
    state: PortfolioState, event: OrderResult, opened: Decimal, price: Decimal, fees: Decimal
) -> None:
    position = state.positions.get(event.symbol)
    if position is None:
        contract = state.contracts.get(event.symbol)
        inverse = contract is not None and contract.inverse
        market = state.markets.get(event.symbol)
        known = None if market is None else market.mark_price or market.last_price
        state.positions[event.symbol] = Position(
            quantity=opened * event.side.sign,
            cost=cost_of(opened, price, inverse=inverse),
            mark_price=known or price,
            stop_loss_price=event.stop_loss_price,
            leverage=event.leverage,
            opened_at=event.timestamp,
            inverse=inverse,
            booked=-fees,
        )
        return
    position.quantity += opened * event.side.sign
    position.cost += cost_of(opened, price, inverse=position.inverse)
    position.leverage = event.leverage
    position.booked -= fees
    stops = [s for s in (position.stop_loss_price, event.stop_loss_price) if s is not None]
    if stops:  # the one that is hit first protects the whole position
        position.stop_loss_price = max(stops) if position.quantity > 0 else min(stops)
