"""Metrics for Prometheus: counts of what was published, and figures looked up on a scrape."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from services import __version__
from services.kernel.events import (
    Alert,
    AlertLevel,
    Event,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    RiskDecision,
    Side,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
    topics,
)
from services.runtime.service.code_version import code_version
from services.runtime.service.declared_metric import (
    LONG_SECONDS,
    DeclaredMetric,
    counter,
    gauge,
    histogram,
)

SLIPPAGE_BUCKETS_BPS = (0, 1, 2, 5, 10, 20, 50, 100, 200)
SYMBOLS_COUNTED: Final = 200
"""Symbols with a count of their own; later ones are counted as ``other``."""

BUILD_INFO = gauge(
    "cdb_build_info",
    "flag",
    "Always 1; the labels say which code runs.",
    service="the service's name",
    version="of the program",
    code_version="of the source code",
)
HEALTHY = gauge("cdb_healthy", "flag", "1 while /health answers 200.")
BUS_CONNECTED = gauge("cdb_bus_connected", "flag", "1 while the bus answers.")
BUS_LAG = gauge("cdb_bus_lag_events", "events", "Events published and not yet handled.")
DEAD_LETTERS = counter(
    "cdb_dead_letters_total",
    "messages",
    "Messages that were refused and kept.",
    reason="code of the dead letter; empty: none yet",
)
ALERTS = counter(
    "cdb_alerts_total",
    "alerts",
    "Alerts published by this service; those from outside have the code EXTERNAL.",
    level="INFO, WARNING, CRITICAL",
    code="code of the alert; empty before the first",
)
SIGNALS = counter(
    "cdb_signals_total",
    "signals",
    "Signals published, by symbol, direction, and whether they only reduce.",
    symbol=f"the first {SYMBOLS_COUNTED} symbols with a signal, and `other`",
    direction="BUY, SELL",
    reduce_only="true, false",
)
DECISIONS = counter(
    "cdb_decisions_total",
    "decisions",
    "Risk decisions, by verdict, reason (or binding limit) and origin.",
    verdict="APPROVED, TRIMMED, REJECTED",
    reason="see REASONS.md, or the setting that trimmed; empty where neither applies",
    origin="signal, stop_loss, take_profit, liquidation, emergency_stop, external",
)
ORDERS = counter(
    "cdb_orders_total",
    "orders",
    "Orders published, by origin and side.",
    origin="signal, stop_loss, take_profit, liquidation, emergency_stop, external",
    side="BUY, SELL",
)
STATE_CHANGES = counter(
    "cdb_trading_state_changes_total",
    "changes",
    "Changes of the trading state, by new state, scope (account, symbol) and reason.",
    state="ACTIVE, REDUCE_ONLY, PAUSED, HALTED",
    scope="account, symbol",
    reason="see REASONS.md",
)
ORDER_RESULTS = counter(
    "cdb_order_results_total",
    "results",
    "Order results published, by status and reason.",
    status="PENDING, FILLED, PARTIALLY_FILLED, REJECTED, CANCELLED, FAILED",
    reason="see REASONS.md; empty where the order worked",
)
FEES = counter("cdb_fees_quote_total", "quote", "Fees of simulated fills.")
SLIPPAGE = histogram(
    "cdb_fill_slippage_bps",
    "basis points",
    "Adverse difference of fill and order price.",
    SLIPPAGE_BUCKETS_BPS,
)
FILL_LATENCY = histogram(
    "cdb_fill_latency_seconds",
    "seconds",
    "From the order to the tick that filled it, in event time.",
    LONG_SECONDS,
)
PUBLISHED: Final[dict[str, tuple[DeclaredMetric, ...]]] = {
    topics.SIGNALS: (SIGNALS,),
    topics.RISK_DECISIONS: (DECISIONS, ORDERS, STATE_CHANGES),
    topics.ORDER_RESULTS: (ORDER_RESULTS, FEES, SLIPPAGE, FILL_LATENCY),
}
"""What the producer of a topic counts."""
ALERTED_ON: Final[dict[str, tuple[tuple[AlertLevel, str], ...]]] = {
    topics.WS: (
        (AlertLevel.CRITICAL, "VENUE_AWAY"),
        (AlertLevel.CRITICAL, "SOURCE_FAILED"),
    ),
    topics.RISK: (
        (AlertLevel.WARNING, "RISK_LIMIT"),
        (AlertLevel.WARNING, "CIRCUIT_BREAKER"),
    ),
    topics.EXECUTION: (
        (AlertLevel.WARNING, "SLIPPAGE"),
        (AlertLevel.WARNING, "ORDER_REFUSED"),
        (AlertLevel.WARNING, "ORDER_UNFILLED"),
    ),
    topics.PAPER_RUNNER: (
        (AlertLevel.WARNING, "SETTING_OUT_OF_RANGE"),
        (AlertLevel.WARNING, "CONSOLE_DOWN"),
    ),
}
"""Alerts that a rule of Prometheus counts; they begin at 0, so that the first is an increase."""


def shell_metrics(service: str) -> tuple[DeclaredMetric, ...]:
    """The metrics that every service has, and those of the topics it produces."""
    counted = (PUBLISHED.get(topic, ()) for topic in sorted(topics.PRODUCES[service]))
    return (BUILD_INFO, HEALTHY, ALERTS, DEAD_LETTERS, *(one for many in counted for one in many))


class ServiceMetrics:
    """One service's metrics; ``registry`` is what /metrics shows.

    Args:
        service: Its name; it exports only what it produces.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build = Gauge(
            BUILD_INFO.name, BUILD_INFO.help, tuple(BUILD_INFO.labels), registry=self.registry
        )
        build.labels(service, __version__, code_version()).set(1)
        self._counters: dict[type[Event], Callable[..., None]] = {}
        produced = topics.PRODUCES[service]
        self._declare_alerts(ALERTED_ON.get(service, ()))
        if topics.SIGNALS in produced:
            self._declare_signals()
        if topics.RISK_DECISIONS in produced:
            self._declare_risk()
        if topics.ORDER_RESULTS in produced:
            self._declare_results()

    def count(self, published: Iterable[Any]) -> None:
        """Count what this service has just published; encoded ticks are not counted."""
        for event in published:
            count = self._counters.get(type(event))
            if count is not None:
                count(event)

    def _declare_alerts(self, known: Iterable[tuple[AlertLevel, str]]) -> None:
        alerts = ALERTS.counter(self.registry)
        for level in AlertLevel:
            alerts.labels(level, "")  # so that a rate over them begins at 0
        for level, code in known:
            alerts.labels(level, code)

        def count(event: Alert) -> None:
            alerts.labels(event.level, "EXTERNAL" if event.external else event.code).inc()

        self._counters[Alert] = count

    def _declare_signals(self) -> None:
        signals = SIGNALS.counter(self.registry)
        seen: set[str] = set()

        def count(event: Signal) -> None:
            if len(seen) < SYMBOLS_COUNTED:
                seen.add(event.symbol)
            symbol = event.symbol if event.symbol in seen else "other"
            signals.labels(symbol, event.direction, str(event.reduce_only).lower()).inc()

        self._counters[Signal] = count

    def _declare_risk(self) -> None:
        decisions, orders, changes = (
            one.counter(self.registry) for one in (DECISIONS, ORDERS, STATE_CHANGES)
        )
        for verdict in Verdict:
            decisions.labels(verdict, "", Origin.SIGNAL)
        for origin, side in product(Origin, Side):
            orders.labels(origin, side)

        def count_decision(event: RiskDecision) -> None:
            reason = event.reason or event.binding_limit or ""
            decisions.labels(event.verdict, reason, event.origin).inc()

        def count_order(event: Order) -> None:
            orders.labels(event.origin, event.side).inc()

        def count_change(event: TradingStateChanged) -> None:
            scope = "account" if event.symbol is None else "symbol"
            changes.labels(event.state, scope, event.reason).inc()

        self._counters[RiskDecision] = count_decision
        self._counters[Order] = count_order
        self._counters[TradingStateChanged] = count_change

    def _declare_results(self) -> None:
        results, fees = ORDER_RESULTS.counter(self.registry), FEES.counter(self.registry)
        slippage, latency = (one.histogram(self.registry) for one in (SLIPPAGE, FILL_LATENCY))
        for status in OrderStatus:
            results.labels(status, "")

        def count(event: OrderResult) -> None:
            results.labels(event.status, event.reason or "").inc()
            if event.filled_quantity > 0:
                fees.inc(max(0.0, float(event.fees)))
                if event.slippage_bps is not None:
                    slippage.observe(float(event.slippage_bps))
                if event.latency_ms is not None:
                    latency.observe(event.latency_ms / 1000)

        self._counters[OrderResult] = count


class Figures:
    """Figures that are looked up when Prometheus asks.

    Args:
        registry: Where they show.
        look_up: Returns the metrics of this moment; called from the HTTP thread.
    """

    def __init__(
        self, registry: CollectorRegistry, look_up: Callable[[], Iterable[Metric]]
    ) -> None:
        self._look_up = look_up
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking for figures at registration would be too early."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures of this moment."""
        return self._look_up()


def dead_letters(counts: Mapping[str, int]) -> Metric:
    """The dead letters by reason; an empty reason is always there, so that a sum begins at 0."""
    return DEAD_LETTERS.values({"": 0, **counts})


def one_of(metric: DeclaredMetric, state: str) -> Metric:
    """1 for the trading state that holds, 0 for the others."""
    return metric.values({str(s): float(s == state) for s in TradingState})
