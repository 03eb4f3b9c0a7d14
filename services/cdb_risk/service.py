"""cdb_risk: signals and the market in; decisions, orders and trading states out."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_risk.command_loop import CommandLoop
from services.cdb_risk.config import SERVICE
from services.kernel.risk.stage import RiskStage
from services.runtime.consumer.stage_worker import StageWorker
from services.runtime.service import metrics
from services.runtime.service.shell import Shell, run


def build(shell: Shell) -> StageWorker:
    """The stage on the bus.

    The loop takes from outside what risk answers for: orders by hand, which carry no approval, and
    the operator's halt, reset, pause and resume, which count only as published here.
    """
    stage = RiskStage()
    metrics.Figures(shell.metrics.registry, lambda: _figures(stage))
    return StageWorker(shell, stage, CommandLoop)


def _figures(stage: RiskStage) -> Iterable[Metric]:
    state = stage.state
    yield metrics.one_of(
        "cdb_trading_state", "1 for the account's trading state.", "state", state.account
    )
    yield metrics.gauge(
        "cdb_pending_orders",
        "Orders without a final result, as risk sees them.",
        len(state.pending),
    )
    yield metrics.gauge(
        "cdb_open_conditions", "Conditions that forbid entries.", len(state.conditions)
    )


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, build)
