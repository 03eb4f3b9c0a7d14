"""What people are told: alerts, and the account at one instant."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from services.kernel import topics
from services.kernel.events.envelope import Event


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
    """One open position in a portfolio snapshot; ``quantity`` is negative for a short."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    notional: Decimal
    unrealised_profit: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal


class PortfolioSnapshot(Event, frozen=True, kw_only=True, tag="portfolio_snapshot"):
    """The account at one instant: the fold's figures and the checksum that all folds share."""

    TOPIC: ClassVar[str] = topics.PORTFOLIO_SNAPSHOTS

    equity: Decimal
    cash: Decimal
    realised_profit: Decimal
    unrealised_profit: Decimal
    fees: Decimal
    funding: Decimal
    gross_exposure: Decimal
    exposure_pct: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    daily_drawdown_pct: Decimal
    drawdown_pct: Decimal
    max_drawdown_pct: Decimal
    worst_day_pct: Decimal
    positions: tuple[PositionView, ...]
    checksum: str
