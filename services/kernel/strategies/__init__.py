"""Strategies: what to want, as functions of market data and their own past signals."""

from services.kernel.strategies.mean_reversion import MeanReversion
from services.kernel.strategies.momentum import Momentum
from services.kernel.strategies.protocol import Intent, Strategy

__all__ = ["Intent", "MeanReversion", "Momentum", "Strategy"]
