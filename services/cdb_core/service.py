"""cdb_core: market data in, signals out; a shell around the signal stage."""

from services.cdb_core.config import SERVICE
from services.kernel.strategies.stage import SignalStage
from services.runtime.consumer.stage_worker import StageWorker
from services.runtime.service.shell import Shell, run


def build(shell: Shell) -> StageWorker:
    """The stage on the bus. Signals from outside are taken by the loop, which owns the topic."""
    return StageWorker(shell, SignalStage())


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, build)
