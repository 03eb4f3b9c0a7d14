"""The portfolio: positions, profit, equity and drawdown as one fold of the total order.

The same code runs in risk, execution, the orchestrator and the writer; what differs between them
is a defect, and `Portfolio.checksum` shows it. Linear contracts: profit = (exit - entry) x base
quantity, in quote currency.
"""

from decimal import Decimal
from hashlib import blake2b

import msgspec
from msgspec import Struct

from services.kernel import perpetuals
from services.kernel.events import (
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    OrderResult,
    PositionView,
    RunStarted,
    Side,
    TradingState,
    TradingStateChanged,
)

MS_PER_DAY = 86_400_000
ZERO = Decimal(0)


class Position(Struct, kw_only=True):
    """One open position.

    ``cost`` is what the open quantity was bought (or sold) for, exactly; the average entry price
    is derived from it, so that nothing is lost to rounding when a position is closed in parts.
    """

    quantity: Decimal
    cost: Decimal
    mark_price: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal
    opened_at: int

    @property
    def entry_price(self) -> Decimal:
        """Average entry price, quote per base."""
        return self.cost / abs(self.quantity)

    @property
    def side(self) -> Side:
        """BUY for a long position, SELL for a short one."""
        return Side.BUY if self.quantity > 0 else Side.SELL

    @property
    def unrealised_profit(self) -> Decimal:
        """Profit at the mark price, in quote."""
        value = abs(self.quantity) * self.mark_price
        return value - self.cost if self.quantity > 0 else self.cost - value

    @property
    def notional(self) -> Decimal:
        """Value at the mark price, in quote, never negative."""
        return abs(self.quantity) * self.mark_price


class Market(Struct, kw_only=True):
    """What the fold knows of one symbol's prices and funding."""

    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    mark_time: int = 0
    funding_rate: Decimal | None = None
    funding_time: int | None = None
    funding_interval_hours: int = 8


class ClosedTrade(Struct, frozen=True, kw_only=True, gc=False):
    """The closed part of one fill: the row of table ``trades``.

    ``profit_loss`` is gross, in quote; ``fees`` is the closing fill's fee on the closed part.
    """

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    profit_loss: Decimal
    fees: Decimal
    slippage_bps: Decimal | None
    opened_at: int
    closed_at: int


class FundingPayment(Struct, frozen=True, kw_only=True, gc=False):
    """One settlement of one position; ``amount`` is what the account receives (negative: pays)."""

    symbol: str
    settlement_time: int
    quantity: Decimal
    mark_price: Decimal
    rate: Decimal
    amount: Decimal


class PortfolioState(Struct, kw_only=True):
    """Everything the fold remembers; equal states have equal checksums."""

    start_equity: Decimal = ZERO
    realised_profit: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    unrealised_profit: Decimal = ZERO
    equity: Decimal = ZERO
    peak_equity: Decimal = ZERO
    day_start_equity: Decimal = ZERO
    day_open_equity: Decimal = ZERO
    day: int = -1
    max_drawdown_pct: Decimal = ZERO
    worst_day_pct: Decimal = ZERO
    mark_max_age_ms: int = 60_000
    positions: dict[str, Position] = {}
    markets: dict[str, Market] = {}


Effect = ClosedTrade | FundingPayment
_NO_EFFECTS: tuple[Effect, ...] = ()


class Portfolio:
    """The fold. Feed it every event of its topics in total order through `apply`."""

    def __init__(self) -> None:
        self.state = PortfolioState()
        self._handlers = {
            MarketData: self._on_market_data,
            OrderResult: self._on_order_result,
            Clock: self._on_clock,
            TradingStateChanged: self._on_trading_state,
            Instruments: self._on_instruments,
            RunStarted: self._on_run_started,
        }

    @property
    def equity(self) -> Decimal:
        """Start + realised + unrealised - fees + funding, in quote."""
        return self.state.equity

    @property
    def cash(self) -> Decimal:
        """Equity without unrealised profit, in quote."""
        state = self.state
        return state.start_equity + state.realised_profit - state.fees + state.funding

    @property
    def gross_exposure(self) -> Decimal:
        """Sum of the notional of all positions at their mark prices, in quote."""
        return sum((p.notional for p in self.state.positions.values()), ZERO)

    @property
    def daily_drawdown_pct(self) -> Decimal:
        """Loss since the day's start (or the last reset), as a fraction; 0 when there is none."""
        return _loss(self.state.day_start_equity, self.state.equity)

    @property
    def drawdown_pct(self) -> Decimal:
        """Loss from the equity peak, as a fraction."""
        return _loss(self.state.peak_equity, self.state.equity)

    def quantity(self, symbol: str) -> Decimal:
        """Signed open quantity in base, 0 when flat."""
        position = self.state.positions.get(symbol)
        return position.quantity if position else ZERO

    def mark_price(self, symbol: str) -> Decimal | None:
        """The price positions of this symbol are valued at; None before its first tick."""
        position = self.state.positions.get(symbol)
        if position is not None:
            return position.mark_price
        market = self.state.markets.get(symbol)
        return None if market is None else market.mark_price or market.last_price

    def apply(self, event: Event) -> tuple[Effect, ...]:
        """Fold one event in.

        Returns:
            What it did to the account: closed trades and funding payments, usually nothing.
        """
        handler = self._handlers.get(type(event))
        return handler(event) if handler is not None else _NO_EFFECTS  # type: ignore[operator]

    def checksum(self) -> str:
        """32 hexadecimal characters that equal folds share."""
        state = self.state
        figures = (
            state.start_equity,
            state.realised_profit,
            state.fees,
            state.funding,
            state.equity,
            state.peak_equity,
            state.day_start_equity,
            state.day,
            {symbol: state.positions[symbol] for symbol in sorted(state.positions)},
        )
        return blake2b(msgspec.json.encode(figures), digest_size=16).hexdigest()

    def views(self) -> tuple[PositionView, ...]:
        """The open positions, by symbol."""
        return tuple(
            PositionView(
                symbol=symbol,
                quantity=position.quantity,
                entry_price=position.entry_price,
                mark_price=position.mark_price,
                notional=position.notional,
                unrealised_profit=position.unrealised_profit,
                stop_loss_price=position.stop_loss_price,
                leverage=position.leverage,
            )
            for symbol, position in sorted(self.state.positions.items())
        )

    def _on_run_started(self, event: RunStarted) -> tuple[Effect, ...]:
        account = event.account
        state = PortfolioState(
            start_equity=account.cash,
            peak_equity=account.peak_equity,
            day_start_equity=account.day_start_equity,
            day_open_equity=account.day_start_equity,
            day=account.day,
        )
        timeout = event.settings.get("DATA_STALE_TIMEOUT_SEC")
        if timeout:
            state.mark_max_age_ms = int(timeout) * 1000
        for opening in account.positions:
            state.positions[opening.symbol] = Position(
                quantity=opening.quantity,
                cost=abs(opening.quantity) * opening.entry_price,
                mark_price=opening.mark_price,
                stop_loss_price=opening.stop_loss_price,
                leverage=opening.leverage,
                opened_at=event.timestamp,
            )
        self.state = state
        self._revalue()
        return _NO_EFFECTS

    def _on_market_data(self, event: MarketData) -> tuple[Effect, ...]:
        if event.backfill:
            return _NO_EFFECTS
        state = self.state
        market = state.markets.get(event.symbol)
        if market is None:
            market = state.markets[event.symbol] = Market()
        if event.kind is MarketDataKind.TRADE:
            market.last_price = event.price
            price = event.price
            if market.mark_price is not None:
                if event.timestamp - market.mark_time <= state.mark_max_age_ms:
                    return _NO_EFFECTS
                market.mark_price = None
        elif event.kind is MarketDataKind.MARK and event.mark_price is not None:
            market.mark_price = price = event.mark_price
            market.mark_time = event.timestamp
        else:
            if event.kind is MarketDataKind.FUNDING and event.funding_rate is not None:
                market.funding_rate = event.funding_rate
                market.funding_time = event.next_funding_time or market.funding_time
            return _NO_EFFECTS
        position = state.positions.get(event.symbol)
        if position is not None and price is not None and position.mark_price != price:
            before = position.unrealised_profit
            position.mark_price = price
            state.unrealised_profit += position.unrealised_profit - before
            self._reckon()
        return _NO_EFFECTS

    def _on_order_result(self, event: OrderResult) -> tuple[Effect, ...]:
        if event.filled_quantity <= 0 or event.filled_price is None:
            return _NO_EFFECTS
        state = self.state
        state.fees += event.fees
        signed = event.filled_quantity * event.side.sign
        position = state.positions.get(event.symbol)
        effects = _NO_EFFECTS
        if position is not None and (position.quantity > 0) != (signed > 0):
            closed = min(abs(signed), abs(position.quantity))
            effects = (self._close(event, position, closed),)
            signed = (abs(signed) - closed) * event.side.sign
        if signed:
            self._open(event, signed, event.filled_price)
        self._revalue()
        return effects

    def _close(self, event: OrderResult, position: Position, closed: Decimal) -> ClosedTrade:
        assert event.filled_price is not None
        whole = abs(position.quantity)
        closed_cost = position.cost if closed == whole else position.cost * closed / whole
        value = closed * event.filled_price
        profit = value - closed_cost if position.quantity > 0 else closed_cost - value
        trade = ClosedTrade(
            order_id=event.order_id,
            symbol=event.symbol,
            side=position.side,
            quantity=closed,
            entry_price=position.entry_price,
            exit_price=event.filled_price,
            profit_loss=profit,
            fees=event.fees * closed / event.filled_quantity,
            slippage_bps=event.slippage_bps,
            opened_at=position.opened_at,
            closed_at=event.timestamp,
        )
        self.state.realised_profit += profit
        if closed == whole:
            del self.state.positions[event.symbol]
        else:
            position.quantity -= closed if position.quantity > 0 else -closed
            position.cost -= closed_cost
        return trade

    def _open(self, event: OrderResult, signed: Decimal, price: Decimal) -> None:
        position = self.state.positions.get(event.symbol)
        if position is None:
            self.state.positions[event.symbol] = Position(
                quantity=signed,
                cost=abs(signed) * price,
                mark_price=self.mark_price(event.symbol) or price,
                stop_loss_price=event.stop_loss_price,
                leverage=event.leverage,
                opened_at=event.timestamp,
            )
            return
        position.quantity += signed
        position.cost += abs(signed) * price
        position.leverage = event.leverage
        stops = [s for s in (position.stop_loss_price, event.stop_loss_price) if s is not None]
        if stops:  # the one that is hit first protects the whole position
            position.stop_loss_price = max(stops) if position.quantity > 0 else min(stops)

    def _on_clock(self, event: Clock) -> tuple[Effect, ...]:
        effects = self._settle_funding(event.timestamp)
        day = event.timestamp // MS_PER_DAY
        state = self.state
        if day > state.day:
            state.day = day
            state.day_start_equity = state.day_open_equity = state.equity
        return effects

    def _settle_funding(self, now: int) -> tuple[Effect, ...]:
        payments: list[Effect] = []
        for symbol, market in self.state.markets.items():
            due = market.funding_time
            if due is None or now < due:
                continue
            market.funding_time = due + market.funding_interval_hours * 3_600_000
            position = self.state.positions.get(symbol)
            if position is None or market.funding_rate is None:
                continue
            amount = perpetuals.funding_payment(
                position.quantity, position.mark_price, market.funding_rate
            )
            payments.append(
                FundingPayment(
                    symbol=symbol,
                    settlement_time=due,
                    quantity=position.quantity,
                    mark_price=position.mark_price,
                    rate=market.funding_rate,
                    amount=amount,
                )
            )
            self.state.funding += amount
        if payments:
            self._revalue()
        return tuple(payments)

    def _on_trading_state(self, event: TradingStateChanged) -> tuple[Effect, ...]:
        released = event.previous is TradingState.HALTED and event.state is not TradingState.HALTED
        if event.symbol is None and released:
            base = event.values["equity"]
            self.state.day_start_equity = base
            self.state.peak_equity = base
            self._reckon()
        return _NO_EFFECTS

    def _on_instruments(self, event: Instruments) -> tuple[Effect, ...]:
        for instrument in event.instruments:
            market = self.state.markets.setdefault(instrument.symbol, Market())
            market.funding_interval_hours = instrument.funding_interval_hours
        return _NO_EFFECTS

    def _revalue(self) -> None:
        state = self.state
        state.unrealised_profit = sum((p.unrealised_profit for p in state.positions.values()), ZERO)
        self._reckon()

    def _reckon(self) -> None:
        state = self.state
        state.equity = equity = self.cash + state.unrealised_profit
        if equity >= state.peak_equity:
            state.peak_equity = equity
            return
        state.max_drawdown_pct = max(state.max_drawdown_pct, self.drawdown_pct)
        state.worst_day_pct = max(state.worst_day_pct, _loss(state.day_open_equity, equity))


def _loss(base: Decimal, equity: Decimal) -> Decimal:
    return (base - equity) / base if equity < base and base > 0 else ZERO
