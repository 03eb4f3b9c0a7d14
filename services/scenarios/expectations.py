"""What may be expected of a story, by name, and whether it came true."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from msgspec import Struct

from services.kernel.events import Origin, TradingState
from services.scenarios.scenario import ScenarioError
from services.scenarios.story import Story

_COMPARISON: Final = re.compile(r"(<=|>=|==|<|>)\s*(\S+)")
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


class Check(Struct, frozen=True, kw_only=True):
    """One expectation, what was found, and whether that is what was wanted."""

    name: str
    wanted: str
    found: str
    held: bool


FIGURES: Final[Mapping[str, Callable[[Story], Decimal | int]]] = {
    "max_drawdown_pct": lambda story: story.max_drawdown_pct,
    "worst_day_pct": lambda story: story.worst_day_pct,
    "max_exposure_pct": lambda story: story.max_exposure_pct,
    "most_positions": lambda story: story.most_positions,
    "entries": lambda story: story.entries,
    "exits": lambda story: story.exits,
    "fills": lambda story: story.fills,
    "approved": lambda story: story.approved,
    "rejected": lambda story: story.rejected,
    "halts": lambda story: story.halts,
    "releases": lambda story: story.releases,
    "stops": lambda story: story.origins[Origin.STOP_LOSS],
    "liquidations": lambda story: story.origins[Origin.LIQUIDATION],
    "emergency_exits": lambda story: story.origins[Origin.EMERGENCY_STOP],
    "equity": lambda story: story.equity,
    "funding": lambda story: story.funding,
}
"""Expected by a comparison, such as ``<= 0.05``."""

FACTS: Final[Mapping[str, Callable[[Story], bool]]] = {
    "halted": lambda story: story.account is TradingState.HALTED,
    "flat": lambda story: story.open_positions == 0,
    "exits_allowed": lambda story: (
        story.exits_while_closed > 0 and not story.trapped and story.unfilled_exits == 0
    ),
}
"""Expected by ``true`` or ``false``."""


def _no_orders_while(story: Story, names: list[str]) -> list[str]:
    return [f"{what} while {state}" for state, what in story.offences if state in names]


def _lacking(story_has: Mapping[str, int], names: list[str]) -> list[str]:
    return [f"no {name}" for name in names if not story_has.get(name)]


def _present(story_has: Mapping[str, int], names: list[str]) -> list[str]:
    return [f"{story_has[name]} x {name}" for name in names if story_has.get(name)]


LISTS: Final[Mapping[str, Callable[[Story, list[str]], list[str]]]] = {
    "no_orders_while": _no_orders_while,
    "reasons": lambda story, names: _lacking(story.reasons, names),
    "no_reasons": lambda story, names: _present(story.reasons, names),
    "alerts": lambda story, names: _lacking(story.alerts, names),
    "no_alerts": lambda story, names: _present(story.alerts, names),
}
"""Expected by a list of names; gives what is against it."""

NAMES: Final = (*FACTS, *FIGURES, *LISTS)


def check(story: Story, expected: Mapping[str, Any]) -> tuple[Check, ...]:
    """Compare a story with what is expected of it.

    Raises:
        ScenarioError: There is no such expectation, or it is written wrongly.
    """
    return tuple(_check(story, name, wanted) for name, wanted in expected.items())


def _check(story: Story, name: str, wanted: Any) -> Check:
    if name in FACTS:
        if wanted not in ("true", "false"):
            raise ScenarioError(f"expect {name}: {wanted!r}; write true or false")
        fact = FACTS[name](story)
        found = _why_not(story) if name == "exits_allowed" and not fact else str(fact).lower()
        return Check(name=name, wanted=wanted, found=found, held=fact is (wanted == "true"))
    if name in FIGURES:
        compare, limit = _comparison(name, wanted)
        figure = FIGURES[name](story)
        shown = f"{figure:.6f}".rstrip("0").rstrip(".") if isinstance(figure, Decimal) else figure
        return Check(
            name=name, wanted=str(wanted), found=str(shown), held=bool(compare(figure, limit))
        )
    if name in LISTS:
        against = LISTS[name](story, _names(name, wanted))
        found = "; ".join(against[:3]) or "as wanted"
        return Check(name=name, wanted=", ".join(wanted), found=found, held=not against)
    raise ScenarioError(f"there is no expectation {name!r}; there are {', '.join(NAMES)}")


def _why_not(story: Story) -> str:
    """Why the exits were not all allowed."""
    if story.trapped:
        return f"refused: {'; '.join(story.trapped[:3])}"
    if story.unfilled_exits:
        return f"{story.unfilled_exits} exits were not filled"
    return "no exit was decided while trading was not active"


def _comparison(name: str, wanted: Any) -> tuple[Callable[[Any, Any], Any], Decimal]:
    match = _COMPARISON.fullmatch(str(wanted).strip())
    try:
        limit = Decimal(match[2]) if match is not None else None
    except InvalidOperation:
        limit = None
    if match is None or limit is None:
        raise ScenarioError(f"expect {name}: {wanted!r}; write a comparison such as '<= 0.05'")
    return _OPERATORS[match[1]], limit


def _names(name: str, wanted: Any) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        raise ScenarioError(f"expect {name}: {wanted!r}; write a list of names")
    if name == "no_orders_while":
        known = {state.value for state in TradingState} - {TradingState.ACTIVE.value}
        unknown: Iterable[str] = set(wanted) - known
        for state in unknown:
            raise ScenarioError(f"expect {name}: {state!r}; there are {', '.join(sorted(known))}")
    return list(wanted)
