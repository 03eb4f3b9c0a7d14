"""Formulas over the returns of equal periods, and over trades; plain floats, no record.

Annualised for a market that never closes: 365 days of 24 hours. Sources: W. Sharpe, "The Sharpe
Ratio" (1994); F. Sortino and L. Price, "Performance Measurement in a Downside Risk Framework"
(1994), with a target of 0; T. Young, "Calmar Ratio" (1991); V. Tharp, "Definitive Guide to Position
Sizing" (2008), for SQN; P. Jorion, "Value at Risk" (2006), historical simulation. The tests hold
them to the package empyrical-reloaded.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

DAYS_A_YEAR: Final = 365
MOST_TRADES_OF_SQN: Final = 100
"""Tharp counts no more than a hundred trades, so that frequency alone makes no quality."""


class Drawdown(NamedTuple):
    """The largest fall of a curve from a peak.

    Attributes:
        pct: Positive fraction of the peak.
        start, bottom: Time of the peak, and of the lowest point after it.
        end: When the peak was reached again; None where it was not.
    """

    pct: float
    start: int
    bottom: int
    end: int | None


def returns_of(values: Iterable[float]) -> list[float]:
    """The returns from each value to the next; 0 from a value that is not positive."""
    return [after / before - 1 if before > 0 else 0.0 for before, after in pairwise(values)]


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of none."""
    return math.fsum(values) / len(values) if values else 0.0


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n - 1); None of fewer than two values."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def sharpe(returns: Sequence[float], periods_a_year: int) -> float | None:
    """Mean return over its standard deviation, annualised; risk-free rate 0.

    None where the returns do not vary.
    """
    spread = deviation(returns)
    return mean(returns) / spread * math.sqrt(periods_a_year) if spread else None


def sortino(returns: Sequence[float], periods_a_year: int) -> float | None:
    """Mean return over the root mean square of the losses, annualised; target 0.

    None where nothing was lost.
    """
    squares = math.fsum(min(value, 0.0) ** 2 for value in returns)
    if not squares:
        return None
    return mean(returns) / math.sqrt(squares / len(returns)) * math.sqrt(periods_a_year)


def annual_return(total_return: float, years: float) -> float | None:
    """The compound annual growth rate; None without time, or where all was lost."""
    if years <= 0 or total_return <= -1:
        return None
    try:
        return math.exp(math.log1p(total_return) / years) - 1
    except OverflowError:
        return None


def calmar(growth: float | None, drawdown: Drawdown | None) -> float | None:
    """Annual return over the largest drawdown; None without either."""
    if growth is None or drawdown is None or not drawdown.pct:
        return None
    return growth / drawdown.pct


def largest_drawdown(times: Sequence[int], values: Sequence[float]) -> Drawdown | None:
    """The largest fall from a peak, the first of equal ones; None where the curve never falls.

    Args:
        times: Of the values, in order.
        values: Not negative.
    """
    found, peak, peak_at = None, -math.inf, 0
    for at, value in zip(times, values, strict=True):
        if value >= peak:
            peak, peak_at = value, at
        elif peak > 0 and (found is None or 1 - value / peak > found.pct):
            found = Drawdown(1 - value / peak, peak_at, at, None)
    if found is None:
        return None
    height = next(v for at, v in zip(times, values, strict=True) if at == found.start)
    end = next(
        (
            at
            for at, value in zip(times, values, strict=True)
            if at > found.bottom and value >= height
        ),
        None,
    )
    return found._replace(end=end)


def value_at_risk(returns: Sequence[float], share: float = 0.05) -> float | None:
    """The loss of one period that the worst ``share`` of periods reach; a positive fraction.

    Historical, linear between two returns. Negative where even those periods gained; None of none.
    """
    if not returns:
        return None
    ordered = sorted(returns)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return 0.0 - (ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def expected_shortfall(returns: Sequence[float], share: float = 0.05) -> float | None:
    """The mean loss of the worst ``share`` of periods; a positive fraction, None of none."""
    if not returns:
        return None
    worst = sorted(returns)[: int((len(returns) - 1) * share) + 1]
    return 0.0 - mean(worst)


def system_quality(profits: Sequence[float]) -> float | None:
    """SQN: mean profit of a trade over its standard deviation, times the root of their number.

    None of fewer than two trades, or where all are equal.
    """
    spread = deviation(profits)
    if not spread:
        return None
    return mean(profits) / spread * math.sqrt(min(len(profits), MOST_TRADES_OF_SQN))


def longest_row(outcomes: Iterable[bool]) -> int:
    """The largest number of true outcomes one after another."""
    longest = row = 0
    for outcome in outcomes:
        row = row + 1 if outcome else 0
        longest = max(longest, row)
    return longest
