"""Who publishes and who reads which topic: the table that wiring and access rules come from."""

from typing import Final

MARKET_DATA: Final = "market_data"
SIGNALS: Final = "signals"
ORDERS: Final = "orders"
ORDER_RESULTS: Final = "order_results"
ALERTS: Final = "alerts"
RISK_DECISIONS: Final = "risk_decisions"
CONTROL: Final = "control"
CLOCK: Final = "clock"
PORTFOLIO_SNAPSHOTS: Final = "portfolio_snapshots"

OPERATOR: Final = "operator"
"""The channel of the operator's commands; no topic, nothing is published on it."""

TOPICS: Final = (
    MARKET_DATA,
    SIGNALS,
    ORDERS,
    ORDER_RESULTS,
    ALERTS,
    RISK_DECISIONS,
    CONTROL,
    CLOCK,
    PORTFOLIO_SNAPSHOTS,
)

WS: Final = "cdb_ws"
CORE: Final = "cdb_core"
RISK: Final = "cdb_risk"
EXECUTION: Final = "cdb_execution"
DB_WRITER: Final = "cdb_db_writer"
PAPER_RUNNER: Final = "cdb_paper_runner"

SERVICES: Final = (WS, CORE, RISK, EXECUTION, DB_WRITER, PAPER_RUNNER)

STAGE_ORDER: Final = (EXECUTION, RISK, CORE)
"""The order in which the stages' outputs for one cause enter the total order."""

PRODUCES: Final[dict[str, frozenset[str]]] = {
    WS: frozenset({MARKET_DATA, CLOCK, CONTROL, ALERTS}),
    CORE: frozenset({SIGNALS, CONTROL, ALERTS}),
    RISK: frozenset({ORDERS, RISK_DECISIONS, CONTROL, ALERTS}),
    EXECUTION: frozenset({ORDER_RESULTS, CONTROL, ALERTS}),
    DB_WRITER: frozenset({CONTROL, ALERTS}),
    PAPER_RUNNER: frozenset({CONTROL, PORTFOLIO_SNAPSHOTS, ALERTS}),
}
"""Topics a service may publish; its access rules allow no other."""

CONSUMES: Final[dict[str, frozenset[str]]] = {
    WS: frozenset({ORDER_RESULTS, CONTROL, CLOCK}),
    CORE: frozenset({MARKET_DATA, CONTROL, CLOCK}),
    RISK: frozenset(
        {MARKET_DATA, SIGNALS, ORDER_RESULTS, RISK_DECISIONS, CONTROL, CLOCK, PORTFOLIO_SNAPSHOTS}
    ),
    EXECUTION: frozenset(
        {MARKET_DATA, ORDERS, ORDER_RESULTS, RISK_DECISIONS, CONTROL, CLOCK, PORTFOLIO_SNAPSHOTS}
    ),
    DB_WRITER: frozenset(TOPICS),
    PAPER_RUNNER: frozenset(TOPICS),
}
"""Topics whose events a service acts on, in their one total order.

Risk reads its own decisions, and execution its own results, because the portfolio is a fold of the
total order: applied at the place of publication, not at the moment of the decision. The market's
source reads the results to know which symbols are held: these must not lose their market data.
"""

TAKES_FROM_OUTSIDE: Final[dict[str, str]] = {
    MARKET_DATA: WS,
    SIGNALS: CORE,
    ORDERS: RISK,
    ALERTS: PAPER_RUNNER,
    OPERATOR: RISK,
}
"""The one service that takes a channel's messages from outside and publishes what they mean."""
