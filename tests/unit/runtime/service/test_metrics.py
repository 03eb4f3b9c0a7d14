import pytest
from msgspec.structs import replace

from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    OrderStatus,
    Side,
    TradingState,
    Verdict,
    topics,
)
from services.runtime.service import metrics
from services.runtime.service.declared_metric import counter, gauge
from services.runtime.service.metrics import Figures, ServiceMetrics
from tests import builders as a
from tests.bus_builders import envelope

pytestmark = pytest.mark.unit


def sample(made: ServiceMetrics, name: str, **labels: str) -> float | None:
    return made.registry.get_sample_value(name, labels)


def alert(code: str) -> Alert:
    return Alert(
        **envelope(code, topics.DB_WRITER),
        level=AlertLevel.WARNING,
        code=code,
        phase=AlertPhase.BEGAN,
        message="seen",
        symbol=None,
        layer=None,
        count=1,
        context={},
    )


def test_signals():
    made = ServiceMetrics(topics.CORE)
    made.count([a.signal(), a.signal(), a.exit_signal()])
    labels = {"symbol": a.BTC, "direction": "BUY", "reduce_only": "false"}
    assert sample(made, "cdb_signals_total", **labels) == 2
    labels = {"symbol": a.BTC, "direction": "SELL", "reduce_only": "true"}
    assert sample(made, "cdb_signals_total", **labels) == 1


def test_decisions_orders_and_changes_of_state():
    made = ServiceMetrics(topics.RISK)
    order = a.order(side=Side.SELL)
    approved = a.decision(order)
    trimmed = replace(approved, verdict=Verdict.TRIMMED, binding_limit="MAX_POSITION_PCT")
    rejected = replace(approved, verdict=Verdict.REJECTED, reason="HALTED")
    made.count([approved, order, trimmed, rejected, a.trading_state(TradingState.HALTED)])
    for verdict, reason in (
        ("APPROVED", ""),
        ("TRIMMED", "MAX_POSITION_PCT"),
        ("REJECTED", "HALTED"),
    ):
        labels = {"verdict": verdict, "reason": reason, "origin": "signal"}
        assert sample(made, "cdb_decisions_total", **labels) == 1
    assert sample(made, "cdb_orders_total", origin="signal", side="SELL") == 1
    labels = {"state": "HALTED", "scope": "account", "reason": "OPERATOR"}
    assert sample(made, "cdb_trading_state_changes_total", **labels) == 1


def test_results_fees_and_slippage():
    made = ServiceMetrics(topics.EXECUTION)
    refused = a.result(price=None, status=OrderStatus.REJECTED, reason="NOT_APPROVED")
    made.count([a.result(fees="1.5", slippage_bps=3), refused])
    assert sample(made, "cdb_order_results_total", status="FILLED", reason="") == 1
    assert sample(made, "cdb_order_results_total", status="REJECTED", reason="NOT_APPROVED") == 1
    assert sample(made, "cdb_fees_quote_total") == 1.5
    assert sample(made, "cdb_fill_slippage_bps_count") == 1


def test_what_a_dashboard_asks_for_is_there_before_the_first_event():
    risk, execution = ServiceMetrics(topics.RISK), ServiceMetrics(topics.EXECUTION)
    for verdict in Verdict:
        labels = {"verdict": verdict, "reason": "", "origin": "signal"}
        assert sample(risk, "cdb_decisions_total", **labels) == 0
    for status in OrderStatus:
        assert sample(execution, "cdb_order_results_total", status=status, reason="") == 0


def test_a_service_exports_only_what_it_produces():
    core = ServiceMetrics(topics.CORE)
    assert sample(core, "cdb_fees_quote_total") is None
    assert sample(ServiceMetrics(topics.EXECUTION), "cdb_fees_quote_total") == 0


def test_figures_are_looked_up_at_each_scrape():
    made = ServiceMetrics(topics.WS)
    age = gauge("cdb_age", "seconds", "Age.", symbol="symbols")
    state = gauge("cdb_state", "flag", "State.", state="states")
    taken = counter("cdb_taken_total", "messages", "Taken.")
    ages = {"BTC_USDT": 1.5}
    Figures(
        made.registry,
        lambda: [
            age.values(ages),
            metrics.one_of(state, TradingState.HALTED),
            taken.value(3),
        ],
    )
    ages["BTC_USDT"] = 2.5
    assert sample(made, "cdb_age", symbol="BTC_USDT") == 2.5
    assert sample(made, "cdb_state", state="HALTED") == 1
    assert sample(made, "cdb_state", state="ACTIVE") == 0
    assert sample(made, "cdb_taken_total") == 3


def test_labels_stay_bounded_whatever_comes_from_outside():
    core, runner = ServiceMetrics(topics.CORE), ServiceMetrics(topics.PAPER_RUNNER)
    core.count([a.signal(symbol=f"X{n}_USDT") for n in range(metrics.SYMBOLS_COUNTED + 5)])
    labels = {"symbol": "other", "direction": "BUY", "reduce_only": "false"}
    assert sample(core, "cdb_signals_total", **labels) == 5
    runner.count([replace(alert(f"CODE_{n}"), external=True) for n in range(3)])
    assert sample(runner, "cdb_alerts_total", level="WARNING", code="EXTERNAL") == 3


def test_what_a_rule_counts_is_there_before_it_happens():
    risk, execution = ServiceMetrics(topics.RISK), ServiceMetrics(topics.EXECUTION)
    assert sample(risk, "cdb_orders_total", origin="liquidation", side="SELL") == 0
    assert sample(risk, "cdb_alerts_total", level="WARNING", code="RISK_LIMIT") == 0
    assert sample(execution, "cdb_alerts_total", level="WARNING", code="SLIPPAGE") == 0
    (family,) = [metrics.dead_letters({"UNREADABLE": 2})]
    assert {s.labels["reason"]: s.value for s in family.samples} == {"": 0, "UNREADABLE": 2}


def test_alerts_are_counted_by_code():
    made = ServiceMetrics(topics.DB_WRITER)
    made.count([alert("RECORD_BROKEN")])
    assert sample(made, "cdb_alerts_total", level="WARNING", code="RECORD_BROKEN") == 1


def test_a_fill_counts_into_its_latency():
    made = ServiceMetrics(topics.EXECUTION)
    made.count([replace(a.result(), latency_ms=50)])
    assert sample(made, "cdb_fill_latency_seconds_bucket", le="0.05") == 1
    assert sample(made, "cdb_fill_latency_seconds_bucket", le="0.025") == 0
