"""Execution's whole memory, in one place."""

from decimal import Decimal

from msgspec import Struct, field

from services.kernel.alerts import AlertBook
from services.kernel.events import Side, TradingState
from services.kernel.execution.approval import Approval
from services.kernel.instruments.contracts import Instrument
from services.kernel.matching.fills import SimulatedMarket
from services.kernel.matching.matching import WorkingOrder
from services.kernel.portfolio.checksums import PortfolioChecksums
from services.kernel.portfolio.portfolio import PortfolioState
from services.kernel.reasons import Reason
from services.kernel.units import ZERO

SEEN_KEPT = 1_000
ACCOUNT_FORBIDS = {
    TradingState.HALTED: Reason.HALTED,
    TradingState.PAUSED: Reason.PAUSED,
    TradingState.REDUCE_ONLY: Reason.CONDITION_OPEN,
}
SYMBOL_FORBIDS = {
    TradingState.HALTED: Reason.QUARANTINED,
    TradingState.PAUSED: Reason.PAUSED,
    TradingState.REDUCE_ONLY: Reason.DATA_STALE,
}


class ExecutionState(Struct, kw_only=True):
    """Everything execution remembers between two events.

    Attributes:
        clock: Stage time, Unix milliseconds.
        approvals: Approved orders that have not come yet, by order id.
        seen: Ids of the last orders that came, oldest first.
        open: Accepted orders that have no final result yet.
        unconfirmed: Signed quantity (base) filled by results that this stage emitted but has not
            yet read back at their place in the total order.
        conditions: Open conditions by producer, name and symbol.
    """

    run_id: str = ""
    settings: dict[str, str] = {}
    clock: int = 0
    ended: bool = False
    account: TradingState = TradingState.ACTIVE
    symbol_states: dict[str, TradingState] = {}
    instruments: dict[str, Instrument] = {}
    markets: dict[str, SimulatedMarket] = {}
    approvals: dict[str, Approval] = {}
    seen: dict[str, bool] = {}
    open: dict[str, WorkingOrder] = {}
    unconfirmed: dict[str, Decimal] = {}
    conditions: dict[str, str] = {}
    alerts: AlertBook = field(default_factory=AlertBook)
    checksums: PortfolioChecksums = field(default_factory=PortfolioChecksums)
    portfolio: PortfolioState = field(default_factory=PortfolioState)

    def see(self, order_id: str) -> bool:
        """Note an order id; False when it came before."""
        if order_id in self.seen:
            return False
        self.seen[order_id] = True
        if len(self.seen) > SEEN_KEPT:
            del self.seen[next(iter(self.seen))]
        return True

    def forbids_entries(self, symbol: str) -> Reason | None:
        """Why no entry in this symbol may be open now; None when it may."""
        if self.account is not TradingState.ACTIVE:
            return ACCOUNT_FORBIDS[self.account]
        if any(key.endswith(("|", f"|{symbol}")) for key in self.conditions):
            return Reason.CONDITION_OPEN
        return SYMBOL_FORBIDS.get(self.symbol_states.get(symbol, TradingState.ACTIVE))

    def open_entries(self, symbol: str, side: Side) -> Decimal:
        """Quantity (base) of the accepted entries of one side that are not filled yet."""
        return sum(
            (
                working.leaves_quantity
                for working in self.open.values()
                for order in (working.order,)
                if order.symbol == symbol and order.side is side and not order.reduce_only
            ),
            ZERO,
        )
