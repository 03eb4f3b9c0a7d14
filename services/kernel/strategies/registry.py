"""The strategies that ``STRATEGY`` may name, and how one is made."""

from collections.abc import Callable, Mapping
from typing import Final

from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import StrategyName
from services.kernel.strategies.mean_reversion import MeanReversion
from services.kernel.strategies.momentum import Momentum
from services.kernel.strategies.protocol import Strategy

STRATEGIES: Final[Mapping[StrategyName, Callable[[TradingSettings], Strategy]]] = {
    StrategyName.MOMENTUM: Momentum,
    StrategyName.MEAN_REVERSION: MeanReversion,
}


def make_strategy(settings: TradingSettings) -> Strategy:
    """The strategy that the settings name, without any past."""
    return STRATEGIES[settings.strategy](settings)
