"""Which event becomes a row of which table: the columns carry the names of the event's fields."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from services.kernel.events import (
    Alert,
    Event,
    PortfolioSnapshot,
    RiskDecision,
    Signal,
    TradingStateChanged,
)

_CAUSE: Final = ("causation_id", "correlation_id")
_ENVELOPE: Final = ("event_id", "seq", "run_id", "timestamp")

SIGNALS: Final = (
    *_ENVELOPE,
    *("signal_id", "strategy_id", "symbol", "direction", "reduce_only", "strength", "price"),
    *("quantity", "reason", "indicators", "external", *_CAUSE, "order_type", "limit_price"),
    *("trigger_price", "time_in_force", "post_only"),
)
RISK_DECISIONS: Final = (
    *_ENVELOPE,
    *("decision_id", "signal_id", "order_id", "origin", "symbol", "side", "reduce_only", "verdict"),
    *("reason", "binding_limit", "requested_quantity", "quantity", "price", "stop_loss_price"),
    *("leverage", "equity", "trading_state", "sizing", "layers", *_CAUSE, "price_source"),
)
TRADING_STATE_CHANGES: Final = (
    *_ENVELOPE,
    *("symbol", "previous", "state", "layer", "reason", "message", "values", *_CAUSE),
)
PORTFOLIO_SNAPSHOTS: Final = (
    *_ENVELOPE,
    *("equity", "cash", "realised_profit", "unrealised_profit", "fees", "funding"),
    *("gross_exposure", "exposure_pct", "peak_equity", "day_start_equity", "daily_drawdown_pct"),
    *("drawdown_pct", "max_drawdown_pct", "worst_day_pct", "positions", "checksum"),
    *("initial_margin", "maintenance_margin", "available_margin", "symbols"),
)
ALERTS: Final = (
    *_ENVELOPE,
    *("producer", "level", "code", "phase", "count", "message", "symbol", "layer", "context"),
    "external",
)

ONE_ROW_EACH: Final[dict[type[Event], tuple[str, tuple[str, ...]]]] = {
    Signal: ("signals", SIGNALS),
    RiskDecision: ("risk_decisions", RISK_DECISIONS),
    TradingStateChanged: ("trading_state_changes", TRADING_STATE_CHANGES),
    PortfolioSnapshot: ("portfolio_snapshots", PORTFOLIO_SNAPSHOTS),
    Alert: ("alerts", ALERTS),
}
"""Events that become exactly one row, and the table and columns of it."""

COLUMNS: Final[dict[str, tuple[str, ...]]] = dict(ONE_ROW_EACH.values()) | {
    "events": (
        *("seq", "topic", "topic_seq", "event_id", "type", "producer", "run_id", "timestamp"),
        *(*_CAUSE, "schema_version", "external", "body", "chain_hash"),
    ),
    "market_data": (
        *("seq", "topic_seq", "event_id", "run_id", "timestamp", "kind", "symbol", "price"),
        *("volume", "bid", "ask", "mark_price", "funding_rate", "backfill", "body"),
    ),
    "runs": (
        *("run_id", "seq", "started_at", "source", "seed", "code_version", "settings", "account"),
    ),
    "funding_payments": (
        *("run_id", "symbol", "settlement_time", "seq", "quantity", "mark_price"),
        *("funding_rate", "amount"),
    ),
}
"""Columns of the tables that rows are only ever added to, in the order of their rows."""

POSITIONS: Final = (
    *("run_id", "symbol", "quantity", "entry_price", "mark_price", "notional"),
    *("unrealised_profit", "stop_loss_price", "leverage", "opened_at", "inverse", "margin"),
    *("maintenance_margin", "liquidation_price", "updated_at", "updated_seq"),
    "priced_at",
)
"""Columns of ``positions``, whose rows are replaced."""

Row = tuple[Any, ...]
_encoder = msgspec.json.Encoder(decimal_format="string")


def row_of(event: Event, columns: Sequence[str]) -> Row:
    """The event's fields, as the database takes them."""
    return tuple(value_of(name, getattr(event, name)) for name in columns)


def value_of(name: str, value: Any) -> Any:
    """One field as the database takes it: times typed, enumerations and structures as text."""
    if name == "timestamp":
        return time_of(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, int | Decimal):
        return value
    return json_text(value)


def time_of(milliseconds: int) -> datetime:
    """Unix milliseconds as a point in time."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
        microsecond=milliseconds % 1000 * 1000
    )


def json_text(value: Any) -> str:
    """A structure as JSON, as ``jsonb`` can take it."""
    # jsonb knows no character 0; in JSON text it can only be written like this.
    return _encoder.encode(value).decode().replace("\\u0000", "\\ufffd")


def clean(text: str) -> str:
    """Text without the character 0, which PostgreSQL does not know."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


_TYPES: Final[dict[type, str]] = {}


def type_of(event: Event) -> str:
    """The event's ``type``, as it stands in its JSON."""
    kind = type(event)
    if kind not in _TYPES:
        _TYPES[kind] = str(kind.__struct_config__.tag)
    return _TYPES[kind]
