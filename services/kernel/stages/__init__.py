"""The stages: deterministic state machines that turn events into events."""

from services.kernel.stages.base import Stage
from services.kernel.stages.execution import ExecutionStage
from services.kernel.stages.portfolio import PortfolioStage
from services.kernel.stages.risk import RiskStage
from services.kernel.stages.signal import SignalStage

__all__ = ["ExecutionStage", "PortfolioStage", "RiskStage", "SignalStage", "Stage"]
