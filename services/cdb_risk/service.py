"""cdb_risk: signals and the market in; decisions, orders and trading states out."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_risk.command_loop import CommandLoop
from services.cdb_risk.config import SERVICE
from services.cdb_risk.metrics import OPEN_CONDITIONS, PENDING_ORDERS, RESTRICTED, TRADING_STATE
from services.kernel.events import ConditionName, TradingState
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
    states = Counter(health.state for health in state.health.copy().values())
    names = Counter(key.split("|")[1] for key in state.conditions.copy())
    yield metrics.one_of(TRADING_STATE, state.account)
    yield RESTRICTED.values({s: states[s] for s in TradingState if s is not TradingState.ACTIVE})
    yield PENDING_ORDERS.value(len(state.pending))
    yield OPEN_CONDITIONS.values({name: names[name] for name in ConditionName})


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, build)
