"""The ledger: what a fill does to positions, profit and fees. Fills are the only source of both."""

from decimal import Decimal

from services.kernel.events import OrderResult, Origin
from services.kernel.events.costs import Costs
from services.kernel.instruments import perpetuals
from services.kernel.instruments.rounding import MONEY_STEP, rounded
from services.kernel.portfolio.account import (
    ClosedTrade,
    Effect,
    FundingPayment,
    PortfolioState,
    Position,
    SymbolBook,
)
from services.kernel.units import BPS, ONE, ZERO

ROUND_TRIPS_KEPT = 100
OPPOSITE_ENTRY = "opposite_entry"
"""Exit reason of what an entry of the other side closed."""


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


def fill_costs(event: OrderResult, *, inverse: bool) -> Costs:
    """The costs of one fill.

    Args:
        event: With a filled quantity and price.
        inverse: The kind of contract: its quantity is in quote.
    """
    price, sign, fill = event.filled_price, event.side.sign, event.fill
    assert price is not None, "a fill has a price"
    coins = event.filled_quantity / price if inverse else event.filled_quantity
    missed = (event.slippage_bps or ZERO) / BPS
    ratio = ONE + missed * sign  # price over the price decided at
    slippage = price * missed / ratio if ratio > 0 else ZERO
    touch = fill.get("touch")
    return Costs(
        fees=event.fees,
        slippage=rounded(coins * slippage, MONEY_STEP),
        spread=rounded(coins * fill.get("half_spread", ZERO), MONEY_STEP),
        impact=ZERO if touch is None else rounded(coins * (price - touch) * sign, MONEY_STEP),
    )


def book_fill(state: PortfolioState, event: OrderResult) -> tuple[Effect, ...]:
    """Book what an order result filled: first against an opposite position, the rest opens one.

    Args:
        state: Changed in place; its totals of unrealised profit and equity are the caller's.
        event: Its filled quantity is positive and has a price.

    Returns:
        The trade that was closed, if one was.
    """
    price, opened = event.filled_price, event.filled_quantity
    assert price is not None, "a fill has a price"
    contract = state.contracts.get(event.symbol)
    position = state.positions.get(event.symbol)
    inverse = contract is not None and contract.inverse if position is None else position.inverse
    costs = fill_costs(event, inverse=inverse)
    book = state.books.get(event.symbol)
    if book is None:
        book = state.books[event.symbol] = SymbolBook()
    state.fees += event.fees
    book.fees += event.fees
    effects: tuple[Effect, ...] = ()
    if position is not None and position.side is not event.side:
        closed = min(opened, abs(position.quantity))
        closing = costs.share(closed, opened)
        effects = (_close(state, event, position, closed, closing),)
        opened -= closed
        costs -= closing
    if opened:
        _open(state, event, opened, costs)
    if event.symbol in state.positions:
        state.positions[event.symbol].protect(contract, isolated=not state.cross_margin)
    return effects


def book_funding(state: PortfolioState, payment: FundingPayment) -> None:
    """Book a settlement of an open position; its total of equity is the caller's.

    Args:
        state: Changed in place; holds the position that ``payment`` is for.
        payment: What the account received or paid.
    """
    position = state.positions[payment.symbol]
    state.funding += payment.amount
    state.books[payment.symbol].funding += payment.amount
    position.booked += payment.amount
    position.costs += Costs(funding=payment.amount)


def settle_funding(state: PortfolioState, now: int) -> tuple[FundingPayment, ...]:
    """Book the settlements that are due and whose rate is known, for what is open at this moment.

    A position is worth no less than nothing: its value is taken at its bankruptcy price where the
    mark price is beyond that, and an account pays no more than its equity.

    Args:
        state: Changed in place; its totals are the caller's.
        now: Stage time, Unix milliseconds.
    """
    payments: list[FundingPayment] = []
    payable = state.equity
    for symbol, market in state.pricing.items():
        if market.settled_at > now:
            market.forget_funding()
        while (due := market.funding_time) is not None and due <= now:
            rate = market.settle(due, now)
            position = state.positions.get(symbol)
            if position is None or rate is None:
                continue
            price = position.valuation_price
            value = position.quantity * (1 if position.inverse else price)
            amount = max(perpetuals.funding_payment(value, rate), -payable)
            payable += amount
            payment = FundingPayment(
                symbol=symbol,
                settlement_time=due,
                quantity=position.quantity,
                mark_price=price,
                rate=rate,
                amount=amount,
            )
            book_funding(state, payment)
            payments.append(payment)
    return tuple(payments)


def _close(
    state: PortfolioState,
    event: OrderResult,
    position: Position,
    closed: Decimal,
    closing: Costs,
) -> ClosedTrade:
    price = event.filled_price
    assert price is not None, "a fill has a price"
    whole = abs(position.quantity)
    # Any split is exact: what is not realised now stays in the cost of the rest.
    step = perpetuals.COIN_STEP if position.inverse else perpetuals.COST_STEP
    cost = position.cost if closed == whole else rounded(position.cost * closed / whole, step)
    gained = cost * price - closed if position.inverse else closed * price - cost
    opening = position.costs.share(closed, whole)
    both = opening + closing
    trade = ClosedTrade(
        order_id=event.order_id,
        symbol=event.symbol,
        side=position.side,
        quantity=closed,
        entry_price=position.entry_price,
        exit_price=price,
        gross_profit=gained if position.quantity > 0 else -gained,
        fees_open=opening.fees,
        fees_close=closing.fees,
        funding=opening.funding,
        slippage_cost=both.slippage,
        spread_cost=both.spread,
        impact_cost=both.impact,
        exit_reason=_exit_reason(event),
        slippage_bps=event.slippage_bps,
        opened_at=position.opened_at,
        closed_at=event.timestamp,
    )
    state.realised_profit += trade.gross_profit
    state.books[event.symbol].realised_profit += trade.gross_profit
    position.booked += trade.gross_profit - trade.fees_close
    position.costs -= opening
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


def _exit_reason(event: OrderResult) -> str:
    if event.origin is Origin.SIGNAL and not event.reduce_only:
        return OPPOSITE_ENTRY
    return event.origin.value


def _open(state: PortfolioState, event: OrderResult, opened: Decimal, costs: Costs) -> None:
    price = event.filled_price
    assert price is not None, "a fill has a price"
    position = state.positions.get(event.symbol)
    if position is None:
        contract = state.contracts.get(event.symbol)
        inverse = contract is not None and contract.inverse
        market = state.pricing.get(event.symbol)
        known = None if market is None else market.mark_price or market.last_price
        state.positions[event.symbol] = Position(
            quantity=opened * event.side.sign,
            cost=cost_of(opened, price, inverse=inverse),
            mark_price=known or price,
            stop_loss_price=event.stop_loss_price,
            leverage=event.leverage,
            opened_at=event.timestamp,
            inverse=inverse,
            booked=-costs.fees,
            costs=costs,
        )
        return
    position.quantity += opened * event.side.sign
    position.cost += cost_of(opened, price, inverse=position.inverse)
    position.leverage = event.leverage
    position.booked -= costs.fees
    position.costs += costs
    stops = [s for s in (position.stop_loss_price, event.stop_loss_price) if s is not None]
    if stops:  # the one that is hit first protects the whole position
        position.stop_loss_price = max(stops) if position.quantity > 0 else min(stops)
