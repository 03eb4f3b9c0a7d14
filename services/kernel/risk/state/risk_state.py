"""The state of the risk stage."""

from decimal import Decimal

from msgspec import Struct, field

from services.kernel.alerts import AlertBook
from services.kernel.events import OpeningAccount, Side, TradingState
from services.kernel.instruments.contracts import Instrument, contract_of
from services.kernel.market.volatility import Volatility
from services.kernel.portfolio.checksums import PortfolioChecksums
from services.kernel.portfolio.portfolio import PortfolioState
from services.kernel.risk.state.command_outcome import CommandOutcome
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.recent_ids import RecentIds
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.units import HOUR_MS, ZERO


class PendingOrder(Struct, kw_only=True):
    """An approved order whose end risk has not seen yet; ``quantity`` is what is still open.

    Attributes:
        own_price: An exit with a price of its own. No market exit waits for it: execution fills no
            more than is open, whichever of them comes first.
    """

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    own_price: bool = False


class RiskState(Struct, kw_only=True):
    """The whole state of the risk stage.

    Attributes:
        clock: Stage time, Unix milliseconds.
        halt_reason: The first cause of the present halt, as "REASON: message".
        further_halts: Further causes during the halt, in the same form.
        emergency: Positions are being closed because the emergency stop fired.
        awaiting_release: A release was decided but the fold has not re-based yet.
        streaks: Losses in a row, by symbol.
        entry_times: Stage times of the entries approved within the last hour.
        conditions: Open conditions by producer, name and symbol.
        whitelist: The symbols that the run names; empty where its source chooses.
        universe: Symbols in which new positions may be opened; None: every listed contract.
        volatility: Volatility by symbol, where the sizing method needs it.
        carried: State of the run before, until the first clock of this run.
        checksums: Checksums of the portfolio at the first clock of the last minutes.
        signals: The ``signal_id`` of the run's last signals.
        commands: Outcomes of the operator's last commands, by ``command_id``; kept across runs.
    """

    run_id: str = ""
    settings: dict[str, str] = {}
    clock: int = 0
    account: TradingState = TradingState.ACTIVE
    halt_reason: str | None = None
    further_halts: list[str] = []
    operator_paused: bool = False
    emergency: bool = False
    awaiting_release: bool = False
    instruments: dict[str, Instrument] = {}
    whitelist: tuple[str, ...] = ()
    universe: tuple[str, ...] | None = None
    health: dict[str, SymbolHealth] = {}
    pending: dict[str, PendingOrder] = {}
    entry_times: list[int] = []
    streaks: dict[str, LossStreak] = {}
    conditions: dict[str, str] = {}
    carried: OpeningAccount | None = None
    alerts: AlertBook = field(default_factory=AlertBook)
    checksums: PortfolioChecksums = field(default_factory=PortfolioChecksums)
    volatility: dict[str, Volatility] = {}
    signals: RecentIds = field(default_factory=RecentIds)
    commands: dict[str, CommandOutcome] = {}
    portfolio: PortfolioState = field(default_factory=PortfolioState)

    def symbol_health(self, symbol: str) -> SymbolHealth:
        """The symbol's health, made on first use."""
        health = self.health.get(symbol)
        if health is None:
            health = self.health[symbol] = SymbolHealth()
        return health

    def streak(self, symbol: str) -> LossStreak:
        """The symbol's losses in a row, none on first use."""
        return self.streaks.get(symbol) or LossStreak()

    def instrument(self, symbol: str) -> Instrument:
        """The symbol's contract, as far as it is known."""
        return contract_of(symbol, self.instruments)

    def may_enter(self, symbol: str) -> bool:
        """Whether the symbol is one that this run trades, not only one that it holds."""
        if self.whitelist and symbol not in self.whitelist:
            return False
        return self.universe is None or symbol in self.universe

    def pending_quantity(self, symbol: str, side: Side) -> Decimal:
        """Open quantity of one side, entries and exits, in base."""
        return sum(
            (
                order.quantity
                for order in self.pending.values()
                if order.symbol == symbol and order.side is side
            ),
            ZERO,
        )

    def pending_exits(self, symbol: str, side: Side, *, at_market: bool) -> Decimal:
        """Open reduce-only quantity of one side; ``at_market``: without what has its own price."""
        return sum(
            (
                order.quantity
                for order in self.pending.values()
                if order.symbol == symbol and order.side is side and order.reduce_only
                if not (at_market and order.own_price)
            ),
            ZERO,
        )

    def open_conditions(self, symbol: str) -> tuple[str, ...]:
        """The open conditions that forbid entries in this symbol."""
        return tuple(
            detail for key, detail in self.conditions.items() if key.endswith(("|", f"|{symbol}"))
        )

    def entries_within_the_hour(self) -> int:
        """Entries approved within the last 60 minutes of stage time."""
        return sum(1 for time in self.entry_times if time > self.clock - HOUR_MS)
