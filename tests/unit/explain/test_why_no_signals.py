"""A run without signals says why."""

import pytest

from services.kernel.settings.model import TradingSettings
from services.reports.run_result import why_no_signals

pytestmark = pytest.mark.unit

SETTINGS, _ = TradingSettings.parse({"LOOKBACK_MINUTES": "15"})
MINUTE = 60_000


def test_without_ticks() -> None:
    assert "no tick" in why_no_signals(SETTINGS, None, None)


def test_with_less_data_than_the_window() -> None:
    why = why_no_signals(SETTINGS, 0, 354_000)

    assert "window is longer than the data" in why
    assert "LOOKBACK_MINUTES=15" in why
    assert "5.9 minutes" in why


def test_with_enough_data_it_was_the_threshold() -> None:
    assert "SIGNAL_THRESHOLD_PCT=0.01" in why_no_signals(SETTINGS, 0, 60 * MINUTE)
