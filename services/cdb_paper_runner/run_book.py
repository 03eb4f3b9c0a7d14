"""Which run is on, what halts it, and what the next one would begin with."""

from msgspec import Struct, field
from msgspec.structs import replace

from services.kernel.events import (
    RUN_BREAKING,
    AnyEvent,
    Clock,
    Condition,
    ConditionName,
    OpeningAccount,
    OpeningPosition,
    Pause,
    Resume,
    RunEnded,
    RunStarted,
    TradingState,
    TradingStateChanged,
    topics,
)
from services.kernel.portfolio.portfolio import Portfolio, Position, SymbolPricing
from services.kernel.risk.trading_state.carried import CarriedState


class RunBook(Struct, kw_only=True):
    """What the orchestrator remembers of the runs; times are event time, Unix milliseconds.

    Attributes:
        run: The last run that was started.
        end_reason: Why it ended; None while it goes on.
        ended_at_seq: Where in the total order it ended.
        halted: Why trading is halted, the first cause; None while it is not.
        quarantined: Symbols that a person must release.
        paused: Whether an operator paused the account.
        paused_symbols: Symbols that an operator paused.
        carried: What risk and the strategy go on with in the next run.
        broken: Why this run cannot go on; None while it can.
        incomplete: The record lacks an event of this run.
        released: A person released the halt that this was the cause of.
    """

    run: RunStarted | None = None
    end_reason: str | None = None
    ended_at_seq: int = 0
    last_clock: int | None = None
    halted: str | None = None
    quarantined: list[str] = field(default_factory=list)
    paused: bool = False
    paused_symbols: list[str] = field(default_factory=list)
    carried: CarriedState = field(default_factory=CarriedState)
    broken: str | None = None
    incomplete: bool = False
    released: bool = False

    def apply(self, event: AnyEvent) -> None:
        """Fold one event in; what closes a position comes through ``carried.close``."""
        self.carried.apply(event)
        match event:
            case RunStarted():
                self._begin(event)
            case RunEnded() if self.run is not None and event.run_id == self.run.run_id:
                self.end_reason, self.ended_at_seq = event.reason, event.seq
            case Clock():
                self.last_clock = event.timestamp
            case TradingStateChanged():
                self._change(event)
            case Condition() if event.name in RUN_BREAKING and self.run is not None:
                if event.run_id == self.run.run_id:
                    self._break(event)
            case Pause() | Resume() if event.producer == topics.RISK:
                self._pause(event.symbol, paused=isinstance(event, Pause))

    @property
    def is_open(self) -> bool:
        """Whether a run goes on."""
        return self.run is not None and self.end_reason is None

    @property
    def superseded_by(self) -> str | None:
        """Why another run must follow this one now: a person released a run that is broken."""
        return self.broken if self.released else None

    def carried_over(self, portfolio: Portfolio) -> OpeningAccount:
        """The account that the next run begins with: everything as it is, a halt included."""
        state = portfolio.state
        account = OpeningAccount(
            cash=portfolio.cash,
            peak_equity=state.peak_equity,
            day_start_equity=state.day_start_equity,
            day=state.day,
            positions=tuple(
                _opening(portfolio, symbol, position)
                for symbol, position in sorted(state.positions.items())
            ),
            halted=self.halted,
            quarantined=tuple(self.quarantined),
            paused=self.paused,
            paused_symbols=tuple(self.paused_symbols),
        )
        return replace(account, **self.carried.carried_over(account))

    def _begin(self, event: RunStarted) -> None:
        self.run = event
        self.carried = CarriedState.begin(event)
        self.end_reason, self.ended_at_seq, self.last_clock = None, 0, None
        self.broken, self.incomplete, self.released = None, False, False
        self.halted = event.account.halted
        self.quarantined = list(event.account.quarantined)
        self.paused = event.account.paused
        self.paused_symbols = list(event.account.paused_symbols)

    def _break(self, event: Condition) -> None:
        self.broken = self.broken or f"{event.name}: {event.detail}"
        self.incomplete = self.incomplete or event.name is ConditionName.RECORD_BROKEN

    def _pause(self, symbol: str | None, *, paused: bool) -> None:
        if symbol is None:
            self.paused = paused
        elif paused:
            self.paused_symbols = sorted({*self.paused_symbols, symbol})
        else:
            self.paused_symbols = [name for name in self.paused_symbols if name != symbol]

    def _change(self, event: TradingStateChanged) -> None:
        if event.symbol is None:
            if event.state is not TradingState.HALTED:
                if event.previous is TradingState.HALTED:
                    self.released = self.broken is not None
                self.halted = None
            elif self.released and event.reason in RUN_BREAKING:
                return  # a repeated report of the run that was given up
            elif self.halted is None:  # an answer or a further cause must not hide the first one
                self.halted = f"{event.reason}: {event.message}"
            return
        if event.state is TradingState.HALTED and event.symbol not in self.quarantined:
            self.quarantined = sorted([*self.quarantined, event.symbol])
        elif event.state is not TradingState.HALTED and event.symbol in self.quarantined:
            self.quarantined = [name for name in self.quarantined if name != event.symbol]


def _opening(portfolio: Portfolio, symbol: str, position: Position) -> OpeningPosition:
    """The position as it is; a settlement that it waits for is neither lost nor paid twice."""
    market = portfolio.state.pricing.get(symbol) or SymbolPricing()
    return OpeningPosition(
        symbol=symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        mark_price=position.mark_price,
        stop_loss_price=position.stop_loss_price,
        leverage=position.leverage,
        inverse=position.inverse,
        funding_rate=market.funding_rate,
        funding_time=market.funding_time,
        funding_settled_at=market.settled_at,
        costs=position.costs,
        priced_at=portfolio.priced_at(symbol),
    )
