"""What a scenario file may say, what is wrong with one, and how expectations are compared."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.kernel.events import MarketData, MarketDataKind, TradingState, Verdict
from services.kernel.portfolio.portfolio import Portfolio
from services.scenarios import runner
from services.scenarios.expectations import FACTS, FIGURES, LISTS, check
from services.scenarios.scenario import (
    Scenario,
    ScenarioError,
    data_paths,
    load,
    milliseconds,
    missing_variable,
)
from services.scenarios.situation import Situation, moment
from services.scenarios.story import Story
from tests import builders
from tests.builders import BTC

pytestmark = pytest.mark.unit

CALM = """
name: calm
about: Nothing happens for ten seconds, and then somebody enters.
guard: none
symbols: {BTC_USDT: {tick: 0.5}}
steps:
  - market: {for: 10s, prices: {BTC_USDT: 100}}
  - enter: {symbol: BTC_USDT}
  - market: {for: 2s, prices: {BTC_USDT: 100}}
expect:
  entries: "== 1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "it.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str = CALM) -> Scenario:
    return load(written(folder, text))


def trades(scenario: Scenario) -> list[MarketData]:
    events = builders.of_type(Situation(scenario).events(), MarketData)
    return [event for event in events if event.kind is MarketDataKind.TRADE]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: calm", "nome: calm", r"unknown field `nome`"),
        ("guard: none\n", "", r"missing required field `guard`"),
        ("prices: {BTC_USDT: 100}}\n  - enter", "prices: {XRP_USDT: 1}}\n  - enter",
         "step 1: XRP_USDT is not among the symbols"),
        ("for: 10s", "for: soon", "step 1: 'soon' is no duration; write 90s"),
        ("enter: {symbol: BTC_USDT}", "enter: {symbol: BTC_USDT}\n    wait: 1s",
         "step 2: has .* give exactly one"),
        ("BTC_USDT: 100}}\n  - enter", "BTC_USDT: dear}}\n  - enter", "Invalid decimal string"),
        ("guard: none", "guard: none\nsettings: {MAX_POSITON_PCT: 0.1}",
         "there is no setting MAX_POSITON_PCT"),
        ("guard: none", "guard: none\nsettings: {MAX_POSITION_PCT: 0.9}",
         "MAX_POSITION_PCT=0.9 is out of range"),
        ("guard: none", "guard: none\nsettings: {MAX_POSITION_PCT: a lot}", "is not a number"),
        ("guard: none", "guard: none\nsettings: {MAX_LEVERAGE: 10}", "no entry could ever pass"),
        ("guard: none", "guard: none\nstrategy: luck", "strategy 'luck'; write written or"),
        ("guard: none", "guard: none\nrecording: {files: [a.csv]}", "either steps or a recording"),
        ("name: calm", "name: [calm", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ScenarioError, match=said) as raised:
        loaded(tmp_path, CALM.replace(old, new, 1))
    assert "it.yaml" in str(raised.value)


def test_a_wrong_step_within_a_repetition_is_found(tmp_path: Path) -> None:
    inner = "- repeat: {times: 2, steps: [{wait: long}]}"
    with pytest.raises(ScenarioError, match=r"step 2\.1: 'long' is no duration"):
        loaded(tmp_path, CALM.replace("- enter: {symbol: BTC_USDT}", inner))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="there is no"):
        runner.find([tmp_path / "none"])
    with pytest.raises(ScenarioError, match=r"has no \*\.yaml"):
        runner.find([tmp_path])


def test_numbers_are_read_exactly(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, CALM.replace("{tick: 0.5}", "{tick: 0.10, lot: 1e-8}"))

    assert scenario.symbols[BTC].tick == Decimal("0.10")
    assert scenario.symbols[BTC].lot == Decimal("1e-8")


@pytest.mark.parametrize(
    ("text", "wanted"), [("1s", 1_000), ("90s", 90_000), ("1.5m", 90_000), ("2h", 7_200_000)]
)
def test_durations(text: str, wanted: int) -> None:
    assert milliseconds(text) == wanted


def test_a_path_is_walked_in_equal_times_and_on_ticks(tmp_path: Path) -> None:
    text = CALM.replace("BTC_USDT: 100}", "BTC_USDT: [100, 110, 104]}", 1)

    prices = [trade.price for trade in trades(loaded(tmp_path, text))][:10]

    assert prices == [102, 104, 106, 108, 110, Decimal("109"), Decimal("107.5"),
                      Decimal("106.5"), Decimal("105"), 104]  # fmt: skip


def test_time_goes_on_by_the_second_and_trades_come_when_they_should(tmp_path: Path) -> None:
    text = CALM.replace("for: 10s", "for: 10s, every: 5s")
    start = moment("2026-01-05T12:00:00Z")

    times = [trade.timestamp - start for trade in trades(loaded(tmp_path, text))]

    assert times == [5_000, 10_000, 11_000, 12_000]


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-01-05T12:00:00") == moment("2026-01-05T12:00:00Z") == builders.NOON
    assert moment("2026-01-05T13:00:00+01:00") == builders.NOON


def test_variables_in_file_names(tmp_path: Path) -> None:
    head, _ = CALM.split("symbols:")
    text = head + "expect: {flat: true}\nrecording: {files: ['${DATA}/a.csv', b.csv]}\n"
    scenario = loaded(tmp_path, text)

    assert missing_variable(scenario, {}) == "DATA"
    assert missing_variable(scenario, {"DATA": "/d"}) is None
    assert data_paths(scenario, {"DATA": "/d"}) == [Path("/d/a.csv"), Path("b.csv")]


def test_a_recording_that_is_not_there_is_no_crash(tmp_path: Path) -> None:
    head, _ = CALM.split("symbols:")
    text = head + "expect: {flat: true}\nrecording: {files: ['binance-usdm_AUSDT_trades.csv']}\n"
    with pytest.raises(ScenarioError, match="AUSDT_trades"):
        runner.play(written(tmp_path, text))


def expectation(name: str, wanted: Any, story: Story | None = None) -> tuple[bool, str]:
    (found,) = check(story or Story(Portfolio()), {name: wanted})
    return found.held, found.found


@pytest.mark.parametrize(
    ("wanted", "held"),
    [("== 0", True), ("<= 0", True), (">= 1", False), ("< 0", False), ("> -1", True),
     ("== 1", False)],
)  # fmt: skip
def test_figures_are_compared(wanted: str, held: bool) -> None:
    assert expectation("entries", wanted) == (held, "0")


@pytest.mark.parametrize("name", [*FACTS, *FIGURES, *LISTS])
def test_each_expectation_can_be_asked_and_refuses_nonsense(name: str) -> None:
    sensible = {"fact": "true", "figure": ">= 0", "list": ["HALTED"]}
    kind = "fact" if name in FACTS else "figure" if name in FIGURES else "list"

    assert isinstance(expectation(name, sensible[kind])[0], bool)
    with pytest.raises(ScenarioError, match=f"expect {name}"):
        expectation(name, "perhaps")


def test_an_expectation_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ScenarioError, match="no expectation 'lucky'; there are halted, flat"):
        expectation("lucky", "true")
    with pytest.raises(ScenarioError, match="write a comparison"):
        expectation("entries", "<= many")
    with pytest.raises(ScenarioError, match="'ACTIVE'; there are HALTED"):
        expectation("no_orders_while", ["ACTIVE"])


def test_orders_while_halted_are_an_offence() -> None:
    story = Story(Portfolio())
    halted = builders.trading_state(TradingState.HALTED)
    story.see(_numbered(halted, 1))
    cause = _numbered(builders.signal(), 2)
    story.see(cause)
    order = builders.order(order_id="abcdefghij")
    story.see(_numbered(order, 3, cause=cause.event_id))

    assert story.account is TradingState.HALTED
    held, found = expectation("no_orders_while", ["HALTED"], story)
    assert (held, found) == (False, "order abcdefgh while HALTED")
    assert expectation("no_orders_while", ["PAUSED"], story)[0]


def test_an_exit_that_was_refused_is_a_trap() -> None:
    story = Story(Portfolio())
    exit_order = builders.order(reduce_only=True)
    refused = builders.decision(exit_order, verdict=Verdict.REJECTED, reason="INVALID_SIGNAL")
    story.see(_numbered(refused, 1))

    assert expectation("exits_allowed", "true", story) == (
        False, f"refused: {exit_order.symbol}: INVALID_SIGNAL",
    )  # fmt: skip
    assert expectation("exits_allowed", "true")[1] == (
        "no exit was decided while trading was not active"
    )


def test_an_exit_without_a_fill_is_none() -> None:
    story = Story(Portfolio())
    story.see(_numbered(builders.decision(builders.order(reduce_only=True)), 1))

    assert story.unfilled_exits == 1
    assert expectation("exits_allowed", "true", story)[1] == "1 exits were not filled"


def _numbered(event: Any, seq: int, *, cause: str | None = None) -> Any:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**fields | {"seq": seq, "causation_id": cause})
