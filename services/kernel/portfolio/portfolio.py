"""The portfolio: positions, profit, equity and drawdown as one fold of the total order.

The same code runs in risk, execution, the orchestrator and the writer; `Portfolio.checksum` shows
where they differ. Profit is (exit - entry) x coins, in quote currency.
"""

from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b

import msgspec

from services.kernel.events import (
    BarPoint,
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    OrderResult,
    PriceSource,
    RunStarted,
    TradingState,
    TradingStateChanged,
)
from services.kernel.handlers import on, table
from services.kernel.instruments import perpetuals
from services.kernel.instruments.rounding import rounded
from services.kernel.portfolio import margin
from services.kernel.portfolio.account import (
    ClosedTrade,
    Effect,
    FundingPayment,
    PortfolioState,
    Position,
    RoundTrips,
    SymbolBook,
    SymbolPricing,
    drawdown,
)
from services.kernel.portfolio.ledger import book_fill, cost_of, settle_funding
from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import MarginMode
from services.kernel.units import DAY_MS, ZERO

__all__ = [
    "ClosedTrade",
    "Effect",
    "FundingPayment",
    "Portfolio",
    "PortfolioState",
    "Position",
    "SymbolBook",
    "SymbolPricing",
]

_NO_EFFECTS: tuple[Effect, ...] = ()


class Portfolio:
    """The fold. Feed it every event of its topics in total order through `apply`.

    Attributes:
        counted: The trades that count since the last observation or clock; see `Prices.on_tick`.
    """

    def __init__(self) -> None:
        self.state = PortfolioState()
        self.counted: tuple[MarketData, ...] = ()
        self._handlers = table(
            on(MarketData, self._on_market_data),
            on(OrderResult, self._on_order_result),
            on(Clock, self._on_clock),
            on(TradingStateChanged, self._on_trading_state),
            on(Instruments, self._on_instruments),
            on(RunStarted, self._on_run_started),
        )

    @property
    def equity(self) -> Decimal:
        """Start + realised + unrealised - fees + funding, in quote."""
        return self.state.equity

    @property
    def cash(self) -> Decimal:
        """Equity without unrealised profit, in quote."""
        return self.state.cash

    @property
    def unrealised_profit(self) -> Decimal:
        """Profit of all positions as far as the account can pay their losses, in quote."""
        return self.state.unrealised_profit + self.state.shortfall

    @property
    def profits(self) -> dict[str, Decimal]:
        """What each position adds to equity, by symbol, in quote."""
        profits = {s: position.unrealised_profit for s, position in self.state.positions.items()}
        return margin.shared(self.state.cash, profits) if self.state.shortfall else profits

    @property
    def gross_exposure(self) -> Decimal:
        """Sum of the notional of all positions at their mark prices, in quote."""
        return sum((p.notional for p in self.state.positions.values()), ZERO)

    @property
    def initial_margin(self) -> Decimal:
        """What all positions tie up, in quote."""
        return sum((p.initial_margin for p in self.state.positions.values()), ZERO)

    @property
    def maintenance_margin(self) -> Decimal:
        """What all positions need not to be liquidated, fees included, in quote."""
        return sum((p.maintenance_margin for p in self.state.positions.values()), ZERO)

    @property
    def available_margin(self) -> Decimal:
        """What is free to back new positions, in quote; profit not realised only with cross."""
        free = self.state.equity if self.state.cross_margin else self.state.cash
        return free - self.initial_margin

    def liquidates(self, position: Position) -> bool:
        """Whether the venue would liquidate this position at the present mark prices."""
        if self.state.cross_margin:
            return self.state.equity <= self.maintenance_margin
        return position.is_beyond_liquidation

    def liquidation_price(self, symbol: str) -> Decimal | None:
        """Mark price at which a position is liquidated, all others staying; None without one."""
        position = self.state.positions.get(symbol)
        if position is None or not self.state.cross_margin:
            return position.liquidation_price if position is not None else None
        others = self.maintenance_margin - position.maintenance_margin
        return perpetuals.cross_liquidation_price(
            position.quantity,
            position.entry_price,
            self.state.equity - position.unrealised_profit - others,
            position.maintenance_rate,
            liquidation_fee_rate=position.liquidation_fee_rate,
            inverse=position.inverse,
        )

    @property
    def exposure_pct(self) -> Decimal | None:
        """Gross exposure over equity; None without equity."""
        equity = self.state.equity
        return self.gross_exposure / equity if equity > 0 else None

    @property
    def daily_drawdown_pct(self) -> Decimal | None:
        """Loss since the day's start (or the last reset), as a fraction; 0 when there is none.

        None where nothing could be lost.
        """
        return drawdown(self.state.day_start_equity, self.state.equity)

    @property
    def drawdown_pct(self) -> Decimal | None:
        """Loss from the equity peak (or the last reset), as a fraction; None without a peak."""
        return drawdown(self.state.peak_equity, self.state.equity)

    def quantity(self, symbol: str) -> Decimal:
        """Signed open quantity in the contract's unit, 0 when flat."""
        position = self.state.positions.get(symbol)
        return position.quantity if position else ZERO

    def round_trips(self, symbol: str) -> RoundTrips:
        """Positions of this symbol that were closed altogether."""
        book = self.state.books.get(symbol)
        return RoundTrips(0, 0) if book is None else RoundTrips(book.round_trips, book.wins)

    def mark_price(self, symbol: str) -> Decimal | None:
        """The price positions of this symbol are valued at; None before its first tick."""
        position = self.state.positions.get(symbol)
        if position is not None:
            return position.mark_price
        market = self.state.pricing.get(symbol)
        return None if market is None else market.value

    def priced_at(self, symbol: str) -> int | None:
        """Time of the price that positions of this symbol are valued at, Unix milliseconds.

        None where none has come yet.
        """
        market, position = self.state.pricing.get(symbol), self.state.positions.get(symbol)
        known = None if market is None else market.value_time
        return position.priced_at if known is None and position is not None else known

    def price_source(self, symbol: str) -> PriceSource:
        """Which price positions of this symbol are valued at."""
        market = self.state.pricing.get(symbol)
        return PriceSource.LAST if market is None else market.source

    def unconfirmed_jump(self, symbol: str) -> Decimal | None:
        """How far the symbol's newest trade jumped, while nothing confirms it."""
        market = self.state.pricing.get(symbol)
        return None if market is None else market.unconfirmed_jump

    def unconfirmed_at(self, symbol: str) -> int | None:
        """Time of the symbol's trade that is not confirmed yet; None without one."""
        market = self.state.pricing.get(symbol)
        waiting = None if market is None else market.unconfirmed
        return None if waiting is None else waiting.timestamp

    def apply(self, event: Event) -> tuple[Effect, ...]:
        """Fold one event in.

        Returns:
            What it did to the account: closed trades and funding payments, usually nothing.
        """
        handler = self._handlers.get(type(event))
        return handler(event) if handler is not None else _NO_EFFECTS

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
            {symbol: state.books[symbol] for symbol in sorted(state.books)},
        )
        return blake2b(msgspec.json.encode(figures), digest_size=16).hexdigest()

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
            max_price_jump_pct=settings.max_price_jump_pct,
            take_profit_pct=settings.take_profit_pct,
            trailing_stop_pct=settings.trailing_stop_pct,
            cross_margin=settings.margin_mode is MarginMode.CROSS,
        )
        for opening in account.positions:
            market = self._pricing(opening.symbol)
            market.funding_rate = opening.funding_rate
            market.funding_time = opening.funding_time
            market.settled_at = opening.funding_settled_at
            state.positions[opening.symbol] = position = Position(
                quantity=opening.quantity,
                cost=rounded(
                    cost_of(abs(opening.quantity), opening.entry_price, inverse=opening.inverse),
                    perpetuals.COST_STEP,
                ),
                mark_price=opening.mark_price,
                stop_loss_price=opening.stop_loss_price,
                leverage=opening.leverage,
                opened_at=event.timestamp,
                inverse=opening.inverse,
                costs=opening.costs,
                priced_at=opening.priced_at,
            )
            position.protect(None, isolated=not state.cross_margin)
            self._guard(opening.symbol, position)
            profit = position.unrealised_profit
            state.books[opening.symbol] = SymbolBook(
                profit=profit, peak_profit=profit, day_start_profit=profit
            )
        self._revalue(*state.positions)
        return _NO_EFFECTS

    def _on_market_data(self, event: MarketData) -> tuple[Effect, ...]:
        market, state = self._pricing(event.symbol), self.state
        self.counted = counted = market.on_tick(
            event, state.max_price_jump_pct, state.mark_max_age_ms
        )
        if event.backfill:
            return _NO_EFFECTS
        if event.kind is MarketDataKind.FUNDING:
            market.announce(event)
        position = state.positions.get(event.symbol)
        if event.bar is BarPoint.OPEN and position is not None and state.trailing_stop_pct:
            position.trail(state.trailing_stop_pct)  # at the close of the bar before
        if counted or event.kind is MarketDataKind.MARK:  # else the value is what it was
            value = market.value
            if position is not None and value is not None and position.mark_price != value:
                self._mark(event.symbol, position, value)
        return _NO_EFFECTS

    def _pricing(self, symbol: str) -> SymbolPricing:
        market = self.state.pricing.get(symbol)
        if market is None:
            market = self.state.pricing[symbol] = SymbolPricing()
        return market

    def _mark(self, symbol: str, position: Position, price: Decimal) -> None:
        before = position.unrealised_profit
        position.mark_price = price
        gained = position.unrealised_profit - before
        self.state.unrealised_profit += gained
        self._trail(symbol, position)
        if not self._reckon():
            book = self.state.books[symbol]
            book.become(book.profit + gained)

    def _on_order_result(self, event: OrderResult) -> tuple[Effect, ...]:
        if event.filled_quantity <= 0 or event.filled_price is None:
            return _NO_EFFECTS
        effects = book_fill(self.state, event)
        position = self.state.positions.get(event.symbol)
        if position is not None:
            self._guard(event.symbol, position)
        self._revalue(event.symbol)
        return effects

    def _guard(self, symbol: str, position: Position) -> None:
        """Take profit and trailing stop of a position that was opened or changed."""
        if self.state.take_profit_pct:
            position.aim(self.state.take_profit_pct)
        self._trail(symbol, position)

    def _trail(self, symbol: str, position: Position) -> None:
        """Let a trailing stop follow the value; not within a bar, whose order is a convention."""
        market, distance = self.state.pricing.get(symbol), self.state.trailing_stop_pct
        if distance and (market is None or not market.values_inside_bar):
            position.trail(distance)

    def _on_clock(self, event: Clock) -> tuple[Effect, ...]:
        self._mark_by_time(event.timestamp)
        payments = settle_funding(self.state, event.timestamp)
        if payments:
            self._revalue(*(payment.symbol for payment in payments))
        day = event.timestamp // DAY_MS
        state = self.state
        if day != state.day:  # an earlier one where a new run plays an earlier time
            state.day = day
            state.day_start_equity = state.day_open_equity = state.equity
            state.day_low_equity = state.equity
            for book in state.books.values():
                book.day_start_profit = book.profit
        return payments

    def _mark_by_time(self, now: int) -> None:
        """Prints that time confirms, and mark prices that are too old now."""
        counted: list[MarketData] = []
        for symbol, market in self.state.pricing.items():
            counted += market.on_clock(now, self.state.mark_max_age_ms)
            position, value = self.state.positions.get(symbol), market.value
            if position is not None and value is not None and value != position.mark_price:
                self._mark(symbol, position, value)
        self.counted = tuple(counted)

    def _on_trading_state(self, event: TradingStateChanged) -> tuple[Effect, ...]:
        released = event.previous is TradingState.HALTED and event.state is not TradingState.HALTED
        if event.symbol is None and released:
            self.state.day_start_equity = self.state.peak_equity = event.values["equity"]
            self._reckon()
        return _NO_EFFECTS

    def _on_instruments(self, event: Instruments) -> tuple[Effect, ...]:
        for instrument in event.instruments:
            symbol = instrument.symbol
            self.state.contracts[symbol] = instrument
            self._pricing(symbol).funding_interval_hours = instrument.funding_interval_hours
            if symbol in self.state.positions:
                position = self.state.positions[symbol]
                position.protect(instrument, isolated=not self.state.cross_margin)
        return _NO_EFFECTS

    def _revalue(self, *symbols: str) -> None:
        """Cash moved: compute the account, and the books of these symbols."""
        state = self.state
        state.cash = state.start_equity + state.realised_profit - state.fees + state.funding
        state.unrealised_profit = sum((p.unrealised_profit for p in state.positions.values()), ZERO)
        if not self._reckon():
            self._rebook(symbols)

    def _reckon(self) -> bool:
        """Compute equity and its extremes; returns whether the books of all positions are new."""
        state = self.state
        equity = state.cash + state.unrealised_profit
        rebooked = equity < 0 or bool(state.shortfall)
        if rebooked:
            state.shortfall = max(-equity, ZERO)
            equity += state.shortfall
            self._rebook(state.books)
        state.reach(equity)
        return rebooked

    def _rebook(self, symbols: Iterable[str]) -> None:
        profits = self.profits
        for symbol in symbols:
            book = self.state.books[symbol]
            profit = book.realised_profit - book.fees + book.funding
            book.become(profit + profits.get(symbol, ZERO))
