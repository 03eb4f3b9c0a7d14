"""What the layers look at, and what a layer finds."""

from dataclasses import dataclass
from decimal import Decimal

from services.kernel.events import PriceSource, Side, TradingState
from services.kernel.instruments import perpetuals
from services.kernel.instruments.contracts import Instrument
from services.kernel.reasons import Reason
from services.kernel.risk.checks.cost import RoundTripCost, round_trip_cost
from services.kernel.risk.exposure import OtherExposure
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.settings.model import TradingSettings
from services.kernel.units import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCheckInput:
    """What the layers look at: a candidate, and the account and market it would meet.

    Money is in quote, quantities in the contract's unit. ``position`` and ``others`` count pending
    orders as filled.

    Attributes:
        contract_known: Whether ``instrument`` is the symbol's own, and not a stand-in.
        price: The worse of order price and mark price; notional is reckoned with it.
        order_price: The price that the signal saw; the stop is placed from it.
        mark_price: None before the symbol's first tick.
        position: This symbol's signed position, with pending orders of the candidate's side.
        others: What all other symbols hold.
        streak: The symbol's losses in a row.
        entries_last_hour: Approved entries of the last 60 minutes, this one not among them.
        open_conditions: Conditions that forbid entries.
        signal_age_ms: Stage time less the signal's time; negative when it is ahead of it.
        at_market: It would take what the market holds now; else it has its own price.
        limited: It is filled at its limit or better.
        unconfirmed_jump: How far the newest trade jumped, while nothing has confirmed it.
        price_source: What ``mark_price`` is.
        in_universe: Whether the run may enter this symbol at all.
    """

    settings: TradingSettings
    instrument: Instrument
    contract_known: bool
    health: SymbolHealth
    side: Side
    quantity: Decimal
    price: Decimal
    order_price: Decimal
    mark_price: Decimal | None
    stop_loss_price: Decimal
    leverage: Decimal
    equity: Decimal
    daily_drawdown_pct: Decimal | None
    drawdown_pct: Decimal | None
    account_state: TradingState
    position: Decimal
    others: OtherExposure
    streak: LossStreak
    entries_last_hour: int
    open_conditions: tuple[str, ...]
    now: int
    signal_age_ms: int
    unconfirmed_jump: Decimal | None = None
    at_market: bool = True
    limited: bool = False
    price_source: PriceSource = PriceSource.LAST
    in_universe: bool = True

    @property
    def expected_slippage_pct(self) -> Decimal | None:
        """Slippage of the candidate in the present book; None where the book is not known."""
        if not self.at_market:
            return None
        return self.health.expected_slippage(
            self.side, self.quantity, self.order_price, self.now, inverse=self.instrument.inverse
        )

    @property
    def opens(self) -> bool:
        """Whether anything is opened, and not only a position of the other side closed."""
        return self.position_after * self.side.sign > max(self.position * self.side.sign, ZERO)

    @property
    def cost(self) -> RoundTripCost:
        """What the candidate is expected to cost until it is closed, as fractions of notional."""
        minutes = self.settings.lookback_minutes
        return round_trip_cost(
            self.settings,
            self.instrument,
            self.health.book,
            side=self.side,
            quantity=self.quantity,
            limited=self.limited,
            base=self.instrument.base_quantity(self.quantity, self.price),
            minute_volume=self.health.traded.within(self.now, minutes) / minutes,
            now=self.now,
        )

    @property
    def stop_distance(self) -> Decimal:
        """From the order's price to its stop, as a fraction; not above 0 where there is none."""
        return (self.order_price - self.stop_loss_price) * self.side.sign / self.order_price

    @property
    def position_after(self) -> Decimal:
        """Signed position after the trade, in the contract's unit."""
        return self.position + self.quantity * self.side.sign

    @property
    def position_pct_after(self) -> Decimal | None:
        """Notional of this symbol after the trade over equity; None without equity."""
        return _over(self._notional_after, self.equity)

    @property
    def exposure_pct_after(self) -> Decimal | None:
        """Gross notional of everything after the trade over equity; None without equity."""
        return _over(self.others.gross + self._notional_after, self.equity)

    @property
    def traded(self) -> Decimal:
        """What the look-back window traded, in the contract's unit at the candidate's price."""
        base = self.health.traded.within(self.now, self.settings.lookback_minutes)
        return self.instrument.quantity_of(base, self.price)

    @property
    def volume_share_after(self) -> Decimal | None:
        """The position after the trade over `traded`; None where nothing was traded."""
        traded = self.traded
        return abs(self.position_after) / traded if traded > 0 else None

    @property
    def correlated_pct_after(self) -> Decimal | None:
        """Notional of this symbol and those that move alike after the trade over equity.

        None without equity; 0 where nothing moves alike. A position that the trade only reduces is
        no such bet.
        """
        if not self.others.correlated:
            return ZERO
        towards = max(self.position_after * self.side.sign, ZERO)
        notional = self.others.correlated + towards * self.instrument.unit_value(self.price)
        return _over(notional, self.equity)

    @property
    def liquidation_distance(self) -> Decimal:
        """From entry price to liquidation of the position after the trade, as a fraction."""
        instrument, after = self.instrument, self.position_after
        return perpetuals.liquidation_distance(
            self.leverage,
            instrument.tier(after).maintenance_margin_rate,
            long=after >= 0,
            inverse=instrument.inverse,
        )

    @property
    def figures(self) -> dict[str, Decimal]:
        """What sizing was limited by, so that a decision can be checked by hand."""
        settings, others = self.settings, self.others
        return {
            "lot_size": self.instrument.lot_size,
            "min_notional": settings.min_notional,
            "unit_value": self.instrument.unit_value(self.price),
            "position": self.position,
            "elsewhere": others.gross,
            "elsewhere_alike": others.correlated,
            "max_total_exposure_pct": settings.max_total_exposure_pct,
            "max_correlated_exposure_pct": settings.max_correlated_exposure_pct,
            "max_position_pct": settings.max_position_pct,
            "traded": self.traded,
            "max_volume_share": settings.max_volume_share,
        }

    @property
    def _notional_after(self) -> Decimal:
        return abs(self.position_after) * self.instrument.unit_value(self.price)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a layer found.

    Attributes:
        reason: None when the candidate passes.
        applicable: False when there is nothing to measure; that passes.
        at_least: The limit is the lowest allowed value, not the highest.
        unit: Of value and limit, where it is not the layer's own.
    """

    value: Decimal | None
    limit: Decimal | None
    reason: Reason | None
    detail: str
    applicable: bool = True
    at_least: bool = False
    unit: str | None = None


def _over(amount: Decimal, equity: Decimal) -> Decimal | None:
    return amount / equity if equity > 0 else None
