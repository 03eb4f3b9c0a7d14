"""The portfolio: positions, profit, equity and drawdown as one fold of the total order.

The same code runs in risk, execution, the orchestrator and the writer; what differs between them
is a defect, and `Portfolio.checksum` shows it. Linear contracts: profit = (exit - entry) x base
quantity, in quote currency.
"""

from decimal import Decimal
from hashlib import blake2b

import msgspec

from services.kernel import perpetuals
from services.kernel.account import (
    ClosedTrade,
    Effect,
    FundingPayment,
    Market,
    PortfolioState,
    Position,
)
from services.kernel.events import (
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    OrderResult,
    PositionView,
    RunStarted,
    TradingState,
    TradingStateChanged,
)
from services.kernel.rounding import MONEY_STEP, rounded
from services.kernel.settings import TradingSettings

__all__ = [
    "ClosedTrade",
    "Effect",
    "FundingPayment",
    "Market",
    "Portfolio",
    "PortfolioState",
    "Position",
]

MS_PER_DAY = 86_400_000
ZERO = Decimal(0)
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
        return self.state.cash

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
        """Loss from the equity peak (or the last reset), as a fraction."""
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
        settings = TradingSettings.parse(event.settings)[0]
        self.state = state = PortfolioState(
            start_equity=account.cash,
            peak_equity=account.peak_equity,
            high_water_equity=account.peak_equity,
            low_equity=account.peak_equity,
            day_start_equity=account.day_start_equity,
            day_open_equity=account.day_start_equity,
            day_low_equity=account.day_start_equity,
            day=account.day,
            mark_max_age_ms=settings.data_stale_timeout_sec * 1000,
        )
        for opening in account.positions:
            cost = abs(opening.quantity) * opening.entry_price
            state.positions[opening.symbol] = Position(
                quantity=opening.quantity,
                cost=rounded(cost, perpetuals.COST_STEP),
                mark_price=opening.mark_price,
                stop_loss_price=opening.stop_loss_price,
                leverage=opening.leverage,
                opened_at=event.timestamp,
            )
        self._revalue()
        return _NO_EFFECTS

    def _on_market_data(self, event: MarketData) -> tuple[Effect, ...]:
        if event.backfill:
            return _NO_EFFECTS
        kind = event.kind
        if kind is MarketDataKind.TRADE:
            price = event.price
        elif kind is MarketDataKind.MARK:
            price = event.mark_price
        else:
            if kind is MarketDataKind.FUNDING:
                self._market(event.symbol).announce(event)
            return _NO_EFFECTS
        if price is None or price <= 0:
            return _NO_EFFECTS
        market = self._market(event.symbol)
        if kind is MarketDataKind.MARK:
            market.mark_price, market.mark_time = price, event.timestamp
        else:
            market.last_price = price
            if market.mark_price is not None:
                if event.timestamp - market.mark_time <= self.state.mark_max_age_ms:
                    return _NO_EFFECTS
                market.mark_price = None
        position = self.state.positions.get(event.symbol)
        if position is not None and position.mark_price != price:
            self._mark(position, price)
        return _NO_EFFECTS

    def _market(self, symbol: str) -> Market:
        market = self.state.markets.get(symbol)
        if market is None:
            market = self.state.markets[symbol] = Market()
        return market

    def _mark(self, position: Position, price: Decimal) -> None:
        self.state.unrealised_profit += position.quantity * (price - position.mark_price)
        position.mark_price = price
        self._reckon()

    def _on_order_result(self, event: OrderResult) -> tuple[Effect, ...]:
        if event.filled_quantity <= 0 or event.filled_price is None:
            return _NO_EFFECTS
        self.state.fees += event.fees
        signed = event.filled_quantity * event.side.sign
        position = self.state.positions.get(event.symbol)
        effects = _NO_EFFECTS
        if position is not None and position.side is not event.side:
            closed = min(abs(signed), abs(position.quantity))
            effects = (self._close(event, position, closed, event.filled_price),)
            signed = (abs(signed) - closed) * event.side.sign
        if signed:
            self._open(event, signed, event.filled_price)
        self._revalue()
        return effects

    def _close(
        self, event: OrderResult, position: Position, closed: Decimal, price: Decimal
    ) -> ClosedTrade:
        whole = abs(position.quantity)
        # Any split is exact: what is not realised now stays in the cost of the rest.
        closed_cost = rounded(position.cost * closed / whole, perpetuals.COST_STEP)
        if closed == whole:
            closed_cost = position.cost
        value = closed * price
        profit = value - closed_cost if position.quantity > 0 else closed_cost - value
        trade = ClosedTrade(
            order_id=event.order_id,
            symbol=event.symbol,
            side=position.side,
            quantity=closed,
            entry_price=position.entry_price,
            exit_price=price,
            profit_loss=profit,
            fees=rounded(event.fees * closed / event.filled_quantity, MONEY_STEP),
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
            state.day_low_equity = state.equity
        return effects

    def _settle_funding(self, now: int) -> tuple[Effect, ...]:
        payments: list[Effect] = []
        for symbol, market in self.state.markets.items():
            while (due := market.funding_time) is not None and due <= now:
                rate = market.settle(due)
                position = self.state.positions.get(symbol)
                if position is None or rate is None:
                    continue
                mark = position.mark_price
                amount = perpetuals.funding_payment(position.quantity, mark, rate)
                self.state.funding += amount
                payments.append(
                    FundingPayment(
                        symbol=symbol,
                        settlement_time=due,
                        quantity=position.quantity,
                        mark_price=mark,
                        rate=rate,
                        amount=amount,
                    )
                )
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
            self._market(
                instrument.symbol
            ).funding_interval_hours = instrument.funding_interval_hours
        return _NO_EFFECTS

    def _revalue(self) -> None:
        state = self.state
        state.cash = state.start_equity + state.realised_profit - state.fees + state.funding
        state.unrealised_profit = sum((p.unrealised_profit for p in state.positions.values()), ZERO)
        self._reckon()

    def _reckon(self) -> None:
        state = self.state
        state.equity = equity = state.cash + state.unrealised_profit
        if equity > state.peak_equity:  # noqa: PLR1730  a call of max costs more than the rest
            state.peak_equity = equity
        if equity >= state.high_water_equity:
            state.high_water_equity = state.low_equity = equity
        elif equity < state.low_equity:
            state.low_equity = equity
            loss = _loss(state.high_water_equity, equity)
            state.max_drawdown_pct = max(state.max_drawdown_pct, loss)
        if equity < state.day_low_equity:
            state.day_low_equity = equity
            state.worst_day_pct = max(state.worst_day_pct, _loss(state.day_open_equity, equity))


def _loss(base: Decimal, equity: Decimal) -> Decimal:
    return (base - equity) / base if equity < base and base > 0 else ZERO
