"""The metrics of ``cdb_risk``."""

from typing import Final

from services.cdb_risk.config import SERVICE
from services.runtime.consumer.stage_metrics import STAGE
from services.runtime.service.declared_metric import gauge
from services.runtime.service.metrics import shell_metrics

TRADING_STATE = gauge(
    "cdb_trading_state",
    "flag",
    "1 for the account's trading state, 0 for the others.",
    state="ACTIVE, REDUCE_ONLY, PAUSED, HALTED",
)
RESTRICTED = gauge(
    "cdb_symbols_restricted",
    "symbols",
    "Symbols in which no entry is allowed, by their trading state.",
    state="REDUCE_ONLY, PAUSED, HALTED (quarantined)",
)
PENDING_ORDERS = gauge(
    "cdb_pending_orders", "orders", "Orders without a final result, as risk sees them."
)
OPEN_CONDITIONS = gauge(
    "cdb_open_conditions",
    "conditions",
    "Open conditions that forbid entries, by name.",
    condition="DATABASE_AWAY, LAG, DATA_GAP and the other names of conditions",
)
METRICS: Final = (
    *(*shell_metrics(SERVICE), *STAGE),
    *(TRADING_STATE, RESTRICTED, PENDING_ORDERS, OPEN_CONDITIONS),
)
