"""Alerts, and snapshots of the account."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from services.kernel.events import topics
from services.kernel.events.envelope import Event

NOTHING = Decimal(0)
"""A default of its own: a field that holds its default object is left out of the JSON, so `ZERO`
must not be it."""


class AlertLevel(StrEnum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class AlertPhase(StrEnum):
    """Where in its life the condition behind an alert is."""

    BEGAN = "BEGAN"
    ONGOING = "ONGOING"
    CLEARED = "CLEARED"


class Alert(Event, frozen=True, kw_only=True, tag="alert"):
    """A change that a person should know: a condition began, goes on (counted), or cleared."""

    TOPIC: ClassVar[str] = topics.ALERTS

    level: AlertLevel
    code: str
    message: str
    symbol: str | None
    layer: int | None
    phase: AlertPhase
    count: int
    context: dict[str, str]


class PositionView(Struct, frozen=True, kw_only=True, gc=False):
    """One open position in a portfolio snapshot; ``quantity`` is negative for a short.

    Attributes:
        quantity: In the contract's unit: base, or quote in an ``inverse`` contract.
        margin: What the position ties up, in quote.
        maintenance_margin: What must be left of it, liquidation fee included, in quote.
        liquidation_price: Null where no price liquidates it.
        priced_at: When ``mark_price`` was traded or announced, Unix ms; null where that is not
            known.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    notional: Decimal
    unrealised_profit: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal
    inverse: bool = False
    margin: Decimal = NOTHING
    maintenance_margin: Decimal = NOTHING
    liquidation_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    priced_at: int | None = None


class SymbolView(Struct, frozen=True, kw_only=True, gc=False):
    """One symbol's part of the account since the run began, in quote.

    Attributes:
        profit: Realised + unrealised - fees + funding.
        exposure: Notional of the open position at its mark price.
        daily_drawdown: How much of ``profit`` was lost since 00:00 UTC.
        drawdown, max_drawdown: How far ``profit`` is below its peak, and ever was.
        round_trips, wins: Positions closed altogether, and those that brought a profit.
    """

    symbol: str
    profit: Decimal
    realised_profit: Decimal
    unrealised_profit: Decimal
    fees: Decimal
    funding: Decimal
    exposure: Decimal
    margin: Decimal
    daily_drawdown: Decimal
    drawdown: Decimal
    max_drawdown: Decimal
    round_trips: int
    wins: int


class PortfolioSnapshot(Event, frozen=True, kw_only=True, tag="portfolio_snapshot"):
    """The account at one instant: the fold's figures and the checksum that all folds share.

    Attributes:
        exposure_pct: Null without equity.
        daily_drawdown_pct, drawdown_pct: Null where there was no equity to lose a part of.
    """

    TOPIC: ClassVar[str] = topics.PORTFOLIO_SNAPSHOTS

    equity: Decimal
    cash: Decimal
    realised_profit: Decimal
    unrealised_profit: Decimal
    fees: Decimal
    funding: Decimal
    gross_exposure: Decimal
    exposure_pct: Decimal | None
    peak_equity: Decimal
    day_start_equity: Decimal
    daily_drawdown_pct: Decimal | None
    drawdown_pct: Decimal | None
    max_drawdown_pct: Decimal
    worst_day_pct: Decimal
    positions: tuple[PositionView, ...]
    checksum: str
    initial_margin: Decimal = NOTHING
    maintenance_margin: Decimal = NOTHING
    available_margin: Decimal = NOTHING
    symbols: tuple[SymbolView, ...] = ()
