"""Metrics for Prometheus: counts of what was published, and figures looked up on a scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

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

SLIPPAGE_BUCKETS_BPS = (0, 1, 2, 5, 10, 20, 50, 100, 200)


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
            "cdb_build_info",
            "Always 1; the labels say which code runs.",
            ("service", "version", "code_version"),
            registry=self.registry,
        )
        build.labels(service, __version__, code_version()).set(1)
        self._counters: dict[type[Event], Callable[..., None]] = {}
        produced = topics.PRODUCES[service]
        self._declare_alerts()
        if topics.SIGNALS in produced:
            self._declare_signals()
        if topics.RISK_DECISIONS in produced:
            self._declare_risk()
        if topics.ORDER_RESULTS in produced:
            self._declare_results()

    def count(self, published: Iterable[Event]) -> None:
        """Count events that this service has just published."""
        for event in published:
            counter = self._counters.get(type(event))
            if counter is not None:
                counter(event)

    def _counter(self, name: str, doc: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, doc, labels, registry=self.registry)

    def _declare_alerts(self) -> None:
        alerts = self._counter(
            "cdb_alerts_total", "Alerts published, by level and code.", ("level", "code")
        )
        for level in AlertLevel:
            alerts.labels(level, "")  # so that a rate over them begins at 0

        def count(event: Alert) -> None:
            alerts.labels(event.level, event.code).inc()

        self._counters[Alert] = count

    def _declare_signals(self) -> None:
        signals = self._counter(
            "cdb_signals_total",
            "Signals published, by symbol, direction, and whether they only reduce.",
            ("symbol", "direction", "reduce_only"),
        )

        def count(event: Signal) -> None:
            signals.labels(event.symbol, event.direction, str(event.reduce_only).lower()).inc()

        self._counters[Signal] = count

    def _declare_risk(self) -> None:
        decisions = self._counter(
            "cdb_decisions_total",
            "Risk decisions, by verdict, reason (or binding limit) and origin.",
            ("verdict", "reason", "origin"),
        )
        orders = self._counter(
            "cdb_orders_total", "Orders published, by origin and side.", ("origin", "side")
        )
        changes = self._counter(
            "cdb_trading_state_changes_total",
            "Changes of the trading state, by new state, scope (account, symbol) and reason.",
            ("state", "scope", "reason"),
        )
        for verdict in Verdict:
            decisions.labels(verdict, "", Origin.SIGNAL)
        for side in Side:
            orders.labels(Origin.SIGNAL, side)

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
        results = self._counter(
            "cdb_order_results_total",
            "Order results published, by status and reason.",
            ("status", "reason"),
        )
        fees = Counter(
            "cdb_fees_quote_total", "Fees of simulated fills, in quote.", registry=self.registry
        )
        slippage = Histogram(
            "cdb_fill_slippage_bps",
            "Adverse difference of fill and order price, in basis points.",
            buckets=SLIPPAGE_BUCKETS_BPS,
            registry=self.registry,
        )
        for status in OrderStatus:
            results.labels(status, "")

        def count(event: OrderResult) -> None:
            results.labels(event.status, event.reason or "").inc()
            if event.filled_quantity > 0:
                fees.inc(max(0.0, float(event.fees)))
                if event.slippage_bps is not None:
                    slippage.observe(float(event.slippage_bps))

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


def gauge(name: str, doc: str, value: float) -> Metric:
    """One figure without labels."""
    return GaugeMetricFamily(name, doc, value=value)


def gauges(name: str, doc: str, label: str, values: Mapping[str, float]) -> Metric:
    """One figure per value of a label."""
    family = GaugeMetricFamily(name, doc, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def total(name: str, doc: str, value: float) -> Metric:
    """One count without labels; ``name`` without ``_total``."""
    return CounterMetricFamily(name, doc, value=value)


def totals(name: str, doc: str, label: str, values: Mapping[str, float]) -> Metric:
    """One count per value of a label; ``name`` without ``_total``."""
    family = CounterMetricFamily(name, doc, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def one_of(name: str, doc: str, label: str, state: str) -> Metric:
    """1 for the trading state that holds, 0 for the others."""
    return gauges(name, doc, label, {str(s): float(s == state) for s in TradingState})
