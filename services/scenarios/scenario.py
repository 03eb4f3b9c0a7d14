"""What a scenario file says: a situation, step by step, and what is expected of the stages."""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import Struct, field

from services.kernel.events import ConditionName, Side
from services.kernel.settings.consistency import inconsistencies
from services.kernel.settings.model import SettingError, TradingSettings
from services.kernel.settings.parameters import ALIASES, ALL_SPECS

Prices = dict[str, Decimal | list[Decimal]]
"""By symbol: one price, or the corners of a path that is walked in equal times."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class ScenarioError(ValueError):
    """A scenario file that cannot be used; says which file, where in it, and what to do."""


class Contract(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One symbol of the situation; prices in quote, quantities in the contract's unit."""

    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.001")
    max_leverage: Decimal = Decimal(20)
    maintenance_margin_rate: Decimal = Decimal("0.005")
    funding_interval_hours: int = 8
    inverse: bool = False


class MarketStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market goes on for a while.

    Attributes:
        lasts: How long.
        every: Time from one trade of a symbol to its next.
        prices: Of the trades.
        marks: The venue's fair prices; none are reported without.
        volume: Of each trade, in base.
        spread: Of the quotes, as a fraction; no quotes are reported without.
    """

    lasts: str = field(name="for")
    every: str = "1s"
    prices: Prices = {}
    marks: Prices = {}
    volume: Decimal = Decimal(1000)
    spread: Decimal | None = None


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the strategy wants: to enter, or to leave.

    Attributes:
        price: The price it says it saw; the last trade's where None.
        quantity: The most that it wants; risk decides where None.
        times: How often it says so, a second apart.
        age: How old the signal is when it arrives.
    """

    symbol: str
    side: Side | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    times: int = 1
    age: str = "0s"


class PostedOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that somebody posts to the bus by hand."""

    symbol: str
    side: Side
    quantity: Decimal


class ConditionStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service sees something uncertain, or no longer does."""

    name: ConditionName
    symbol: str | None = None
    cleared: bool = False


class FundingStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue reports the next funding rate and how long it is until then."""

    symbol: str
    rate: Decimal
    due: str = field(name="in")


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator says."""

    reason: str = "scenario"
    symbol: str | None = None


class Repeat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps that happen several times, one round after the other."""

    times: int
    steps: list["Step"]


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; exactly one of its fields is given.

    Attributes:
        universe: The symbols that the feed chooses now: only these may be entered.
    """

    market: MarketStep | None = None
    wait: str | None = None
    enter: Wish | None = None
    leave: Wish | None = None
    order: PostedOrder | None = None
    condition: ConditionStep | None = None
    funding: FundingStep | None = None
    universe: list[str] | None = None
    halt: Command | None = None
    reset: Command | None = None
    pause: Command | None = None
    resume: Command | None = None
    repeat: Repeat | None = None


class Recording(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of recorded files in place of a written market.

    Attributes:
        files: May name environment variables as ``${CDB_TEST_DATA}``.
        begin, end: Of the part, ISO 8601 in UTC; all of it where None.
    """

    files: list[str]
    begin: str | None = field(default=None, name="from")
    end: str | None = field(default=None, name="until")


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One situation.

    Attributes:
        guard: The rule that protects the account here; without it the scenario fails.
        strategy: ``written`` (the steps say what it wants), or ``momentum``.
        expect: What must be true, by name; see ``expectations``.
        reset_after: With a recording: how long after a halt the operator resets; never if None.
    """

    name: str
    about: str
    guard: str
    expect: dict[str, Any]
    settings: dict[str, str] = {}
    symbols: dict[str, Contract] = {}
    strategy: str = "written"
    start: str = "2026-01-05T12:00:00Z"
    steps: list[Step] = []
    recording: Recording | None = None
    reset_after: str | None = None

    def trading_settings(self) -> TradingSettings:
        """The settings with their defaults."""
        return TradingSettings.parse(self.settings)[0]


def load(path: Path) -> Scenario:
    """Read one scenario file.

    Raises:
        ScenarioError: It is no YAML, has an unknown or missing field, or settings that cannot be.
    """
    try:
        # Everything as text: numbers are then read exactly as they are written.
        document = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    try:
        scenario = msgspec.convert(document, type=Scenario, strict=False)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {error}; scenarios/README.md lists the fields") from None
    _check(path, scenario)
    return scenario


def milliseconds(text: str) -> int:
    """A duration such as ``90s``, ``1.5m``, ``2h`` or ``1d`` in milliseconds.

    Raises:
        ScenarioError: It is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ScenarioError(f"{text!r} is no duration; write 90s, 15m, 2h or 1d")
    return int(Decimal(match[1]) * _MS[match[2]])


def missing_variable(scenario: Scenario, environ: Mapping[str, str] = os.environ) -> str | None:
    """The environment variable that its files need and that is not set; None when all are."""
    files = scenario.recording.files if scenario.recording is not None else []
    for name in (name for file in files for name in _VARIABLE.findall(file)):
        if not environ.get(name):
            return str(name)
    return None


def data_paths(scenario: Scenario, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The files of its recording, variables filled in."""
    assert scenario.recording is not None, "only a recording has files"
    return [
        Path(_VARIABLE.sub(lambda match: environ[match[1]], file))
        for file in scenario.recording.files
    ]


def _check(path: Path, scenario: Scenario) -> None:
    unknown = set(scenario.settings) - {spec.name for spec in ALL_SPECS} - set(ALIASES)
    if unknown:
        raise ScenarioError(f"{path}: there is no setting {sorted(unknown)[0]}; see SETTINGS.md")
    try:
        settings, problems = TradingSettings.parse(scenario.settings)
    except SettingError as error:
        raise ScenarioError(f"{path}: {error}") from None
    wrong = [problem.message for problem in problems]
    wrong += [found.message for found in inconsistencies(settings) if found.fatal]
    if wrong:
        raise ScenarioError(f"{path}: {wrong[0]}")
    if scenario.strategy not in ("written", "momentum"):
        raise ScenarioError(f"{path}: strategy {scenario.strategy!r}; write written or momentum")
    if (scenario.recording is None) == (not scenario.steps):
        raise ScenarioError(f"{path}: give either steps or a recording")
    for number, step in enumerate(scenario.steps, start=1):
        _check_step(f"{path}: step {number}", step, scenario)


def _check_step(where: str, step: Step, scenario: Scenario) -> None:
    given = [name for name in step.__struct_fields__ if getattr(step, name) is not None]
    if len(given) != 1:
        raise ScenarioError(f"{where}: has {given or 'nothing'}; give exactly one thing to do")
    content = getattr(step, given[0])
    if isinstance(content, Repeat):
        for number, inner in enumerate(content.steps, start=1):
            _check_step(f"{where}.{number}", inner, scenario)
        return
    for symbol in sorted(_symbols_of(content) - set(scenario.symbols)):
        raise ScenarioError(f"{where}: {symbol} is not among the symbols of the scenario")
    try:
        for text in _durations_of(content):
            milliseconds(text)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None


def _symbols_of(content: object) -> set[str]:
    if isinstance(content, MarketStep):
        return {*content.prices, *content.marks}
    if isinstance(content, list):
        return set(content)
    symbol = getattr(content, "symbol", None)
    return set() if symbol is None else {symbol}


def _durations_of(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    names = ("lasts", "every", "age", "due")
    return [getattr(content, name) for name in names if hasattr(content, name)]
