"""The registry: every name of STRATEGY makes a strategy, and no other name is accepted."""

import pytest

from services.kernel.settings.model import SettingError, TradingSettings
from services.kernel.settings.parameters import StrategyName
from services.kernel.strategies import MeanReversion, Momentum
from services.kernel.strategies.registry import STRATEGIES, make_strategy
from services.kernel.strategies.stage import SignalStage
from tests import builders

pytestmark = [pytest.mark.unit, pytest.mark.signal]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Momentum),
        ({"STRATEGY": "momentum"}, Momentum),
        ({"STRATEGY": "mean_reversion"}, MeanReversion),
        ({"STRATEGY": "Mean-Reversion"}, MeanReversion),
    ],
)
def test_the_setting_names_the_strategy(settings: dict[str, str], expected: type) -> None:
    assert type(make_strategy(TradingSettings.parse(settings)[0])) is expected


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    message = r"STRATEGY='momentun' is not known; .*momentum, mean_reversion"
    with pytest.raises(SettingError, match=message):
        TradingSettings.parse({"STRATEGY": "momentun"})


def test_every_name_has_a_strategy_with_an_id_of_its_own() -> None:
    settings = TradingSettings.parse({})[0]
    ids = {make(settings).strategy_id for make in STRATEGIES.values()}

    assert set(STRATEGIES) == set(StrategyName)
    assert len(ids) == len(StrategyName)


@pytest.mark.parametrize("name", list(StrategyName))
def test_the_stage_runs_what_run_started_names(name: StrategyName) -> None:
    stage = SignalStage()
    stage.handle(builders.run_started({"STRATEGY": name}))

    assert str(stage.status()["strategy"]).startswith(f"{name}-")
