"""What the parts of a stage share: its state, the portfolio, the settings, and what they emit."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from services.kernel.alerts import Alarm
from services.kernel.emitter import Emitter
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.settings.model import TradingSettings

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class DeskParts(Generic[S]):
    """One set for each run and each restored state."""

    state: S
    portfolio: Portfolio
    settings: TradingSettings
    emitter: Emitter
    alarm: Alarm


class Desk(Generic[S]):
    """A part of a stage that decides on one subject; all desks of a stage share their parts."""

    def __init__(self, parts: DeskParts[S]) -> None:
        self._parts = parts
        self._state = parts.state
        self._portfolio = parts.portfolio
        self._settings = parts.settings
        self._emitter = parts.emitter
        self._alarm = parts.alarm
