"""How good a run was: returns, risk, trades, costs, beside buying and holding."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any, Final

from services.kernel.events import LayerVerdict, RiskDecision, Side, Verdict
from services.reports import ratios
from services.reports.benchmark import buy_and_hold
from services.reports.ratios import DAYS_A_YEAR, Drawdown
from services.reports.round_trips import RoundTrip, round_trips
from services.reports.run_facts import AccountPoint, RunFacts

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
DAILY_FROM_DAYS: Final = 28
"""Shorter runs are measured by the hour, and their return is not annualised."""
FEWEST_PERIODS: Final = 20
"""With fewer returns there is no ratio: it would be a number without a meaning."""
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Curve:
    """What an equity curve says; fractions, not per cent.

    Ratios and losses of a period are None where there are fewer than ``FEWEST_PERIODS``.

    Attributes:
        total_return: End over start, less 1.
        annual_return: Compound, of runs of four weeks and more; else None.
        volatility: Standard deviation of the returns, annualised.
        value_at_risk, expected_shortfall: Loss of one period, 95 %, historical.
    """

    total_return: float
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    value_at_risk: float | None
    expected_shortfall: float | None
    drawdown: Drawdown | None


@dataclass(frozen=True, slots=True)
class TradeSet:
    """Closed positions: all, the long ones, or the short ones; money in quote.

    Attributes:
        win_rate: Fraction that brought more than nothing.
        profit_factor: What the winners brought over what the others lost; None without losses.
        expectancy: Mean net profit.
        quality: SQN of the net profits.
        longest_losing_row: Most losing positions one after another.
        held_s: Median time in the market, in seconds.
    """

    trades: int
    net: Decimal
    wins: int
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    largest_win: float | None
    largest_loss: float | None
    longest_losing_row: int
    quality: float | None
    held_s: float | None


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything of one run.

    Attributes:
        period: ``1d`` or ``1h``: what the returns are over.
        costs: ``fees``, ``spread``, ``impact`` of all fills, ``funding`` (negative: received) and
            ``total``, in quote.
        costs_pct: Their total over the equity at the start.
        time_in_market: Fraction of the minutes with a position.
        exposure_mean, exposure_max: Gross notional over equity.
        turnover: Traded notional over the equity at the start.
        exits: Trades and net profit by exit reason.
        decisions: Answers to signals by verdict and reason.
        layers: Refused signals by the layer that refused, 0 for none.
    """

    days: float
    period: str
    account: Curve
    held: Curve
    nothing: Curve
    total: TradeSet
    long: TradeSet
    short: TradeSet
    costs: dict[str, Decimal]
    costs_pct: float
    time_in_market: float
    exposure_mean: float
    exposure_max: float
    turnover: float
    exits: dict[str, dict[str, Any]] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values: money as text, ratios as numbers."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def performance_of(facts: RunFacts) -> Performance:
    """Compute the performance of a run."""
    times, equity = account_curve(facts)
    days = (times[-1] - times[0]) / DAY_MS
    period_ms = DAY_MS if days >= DAILY_FROM_DAYS else HOUR_MS
    trips = round_trips(facts)
    costs = costs_of(facts)
    start = float(facts.start_equity)
    shares = [_share(point) for point in facts.account]
    return Performance(
        days=days,
        period="1d" if period_ms == DAY_MS else "1h",
        account=measure(times, equity, period_ms),
        held=measure(times, buy_and_hold(facts, times), period_ms),
        nothing=measure(times, [start] * len(times), period_ms),
        total=trade_set(trips),
        long=trade_set([trip for trip in trips if trip.side is Side.BUY]),
        short=trade_set([trip for trip in trips if trip.side is Side.SELL]),
        costs=costs,
        costs_pct=float(costs["total"]) / start if start else 0.0,
        time_in_market=ratios.mean([float(share > 0) for share in shares]),
        exposure_mean=ratios.mean(shares),
        exposure_max=max(shares, default=0.0),
        turnover=traded_notional(facts) / start if start else 0.0,
        exits=_by_exit_reason(trips),
        decisions=dict(Counter(map(_answer, _answers(facts))).most_common()),
        layers=dict(Counter(str(layer_of(d)) for d in refused(facts)).most_common()),
    )


def account_curve(facts: RunFacts) -> tuple[list[int], list[float]]:
    """Equity over time: what the run began with, then every snapshot."""
    began = facts.account[0].at if facts.account else facts.started.timestamp
    times, equity = [began], [float(facts.start_equity)]
    for point in facts.account:
        times.append(point.at)
        equity.append(float(point.equity))
    return times, equity


def measure(times: Sequence[int], values: Sequence[float], period_ms: int) -> Curve:
    """What an equity curve says.

    Args:
        times: Unix ms, in order.
        values: Equity at each time; the first is where it began.
        period_ms: Length of the periods that returns are taken over; UTC days or hours.
    """
    returns = ratios.returns_of(_closes(times, values, period_ms))
    a_year = DAYS_A_YEAR * DAY_MS // period_ms
    total = values[-1] / values[0] - 1 if values[0] > 0 else 0.0
    years = (times[-1] - times[0]) / (DAYS_A_YEAR * DAY_MS)
    annual = ratios.annual_return(total, years) if period_ms == DAY_MS else None
    drawdown = ratios.largest_drawdown(times, values)
    if len(returns) < FEWEST_PERIODS:
        return Curve(total, annual, *(None,) * 6, drawdown)
    spread = ratios.deviation(returns)
    return Curve(
        total_return=total,
        annual_return=annual,
        volatility=None if spread is None else spread * a_year**0.5,
        sharpe=ratios.sharpe(returns, a_year),
        sortino=ratios.sortino(returns, a_year),
        calmar=ratios.calmar(annual, drawdown),
        value_at_risk=ratios.value_at_risk(returns),
        expected_shortfall=ratios.expected_shortfall(returns),
        drawdown=drawdown,
    )


def trade_set(trips: Sequence[RoundTrip]) -> TradeSet:
    """The figures of some closed positions."""
    profits = [float(trip.net) for trip in trips]
    won = [profit for profit in profits if profit > 0]
    lost = [profit for profit in profits if profit <= 0]
    return TradeSet(
        trades=len(trips),
        net=sum((trip.net for trip in trips), ZERO),
        wins=len(won),
        win_rate=len(won) / len(trips) if trips else None,
        profit_factor=sum(won) / -sum(lost) if sum(lost) else None,
        expectancy=ratios.mean(profits) if trips else None,
        average_win=ratios.mean(won) if won else None,
        average_loss=ratios.mean(lost) if lost else None,
        largest_win=max(won, default=None),
        largest_loss=min(lost, default=None),
        longest_losing_row=ratios.longest_row(profit <= 0 for profit in profits),
        quality=ratios.system_quality(profits),
        held_s=median((t.closed_at - t.opened_at) / 1000 for t in trips) if trips else None,
    )


def costs_of(facts: RunFacts) -> dict[str, Decimal]:
    """What all fills cost, in quote: fees and funding booked, spread and impact in the prices."""
    costs = {"fees": ZERO, "spread": ZERO, "impact": ZERO}
    for fill in facts.fills():
        costs["fees"] += fill.fees
        costs["spread"] += fill.spread
        costs["impact"] += fill.impact
    costs["funding"] = -sum((payment.amount for payment in facts.payments), ZERO)
    costs["total"] = sum(costs.values(), ZERO)
    return costs


def traded_notional(facts: RunFacts) -> float:
    """Notional of all fills, in quote."""
    total = ZERO
    for result in facts.results:
        if result.filled_quantity > 0 and result.filled_price is not None:
            contract = facts.symbols[result.symbol].contract
            total += result.filled_quantity * contract.unit_value(result.filled_price)
    return float(total)


def refused(facts: RunFacts) -> list[RiskDecision]:
    """Signals that risk refused, in order."""
    return [decision for decision in _answers(facts) if decision.verdict is Verdict.REJECTED]


def layer_of(decision: RiskDecision) -> int:
    """The lowest layer that failed; 0 where none did, as of an exit with nothing to reduce."""
    failed = (one.layer for one in decision.layers if one.verdict is LayerVerdict.FAIL)
    return min(failed, default=0)


def _answers(facts: RunFacts) -> list[RiskDecision]:
    return [decision for decision in facts.decisions if decision.signal_id is not None]


def _answer(decision: RiskDecision) -> str:
    if decision.verdict is Verdict.REJECTED:
        return decision.reason or "UNKNOWN"
    return decision.verdict.value


def _by_exit_reason(trips: Sequence[RoundTrip]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for trip in trips:
        row = found.setdefault(trip.exit_reason, {"trades": 0, "net": ZERO})
        row["trades"] += 1
        row["net"] += trip.net
    return dict(sorted(found.items()))


def _share(point: AccountPoint) -> float:
    return float(point.exposure / point.equity) if point.equity > 0 else 0.0


def _closes(times: Sequence[int], values: Sequence[float], period_ms: int) -> list[float]:
    """The value at the beginning, and the last one known at the end of each period."""
    first, last = times[0] // period_ms + 1, -(-times[-1] // period_ms)
    ends = (number * period_ms for number in range(first, last + 1))
    found = [values[0]]
    for end in ends:
        place = bisect_left(times, end + 1) - 1
        found.append(values[place])
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, float):
        return round(value, 8)
    if isinstance(value, Drawdown):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value
