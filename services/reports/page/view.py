"""What the report page draws, as compact JSON values."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from services.explain.figures import layer_line
from services.kernel.events import LayerVerdict, RiskDecision
from services.reports.benchmark import buy_and_hold
from services.reports.explained_trades import explained_trades
from services.reports.observed_result import result_of
from services.reports.performance import account_curve, layer_of, performance_of, refused
from services.reports.provenance import provenance_of
from services.reports.run_facts import Candle, Fill, RunFacts, SymbolFacts

MOST_CANDLES: Final = 45_000
"""Of all symbols together; with more, the shortest bars are longer."""
MOST_POINTS: Final = 2_000
STEPS_MINUTES: Final = (1, 5, 15, 60, 240, 1440)


def view_of(facts: RunFacts) -> dict[str, Any]:
    """Everything that the page shows of a run."""
    traded = [market for market in facts.symbols.values() if market.candles]
    step = _step(traded)
    return {
        "run": provenance_of(facts),
        "result": result_of(facts).to_json(),
        "performance": performance_of(facts).to_json(),
        "first": facts.first_tick,
        "last": facts.last_tick,
        "step": step,
        "symbols": [_symbol(facts, market, step) for market in traded],
        "curve": _curve(facts),
        "months": _months(facts),
        "trades": [_trade(*one) for one in explained_trades(facts)],
        "refused": _refused_by_reason(facts),
    }


def _step(markets: Iterable[SymbolFacts]) -> int:
    """Minutes of the shortest bars that are drawn."""
    minutes = [{candle.minute for candle in market.candles} for market in markets]
    for step in STEPS_MINUTES[:-1]:
        if sum(len({minute // step for minute in one}) for one in minutes) <= MOST_CANDLES:
            return step
    return STEPS_MINUTES[-1]


def _symbol(facts: RunFacts, market: SymbolFacts, step: int) -> dict[str, Any]:
    symbol, tick = market.contract.symbol, market.contract.tick_size
    exponent = tick.normalize().as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return {
        "symbol": symbol,
        "digits": digits,
        "tick": float(tick),
        "candles": [value for bar in _bars(market.candles, step) for value in bar],
        "fills": [_fill(fill) for fill in facts.fills() if fill.result.symbol == symbol],
        "stops": [
            (stop.at // 1000, None if stop.price is None else float(stop.price))
            for stop in facts.stops
            if stop.symbol == symbol
        ],
        "refused": [_refusal(decision) for decision in refused(facts) if decision.symbol == symbol],
    }


def _bars(candles: Sequence[Candle], step: int) -> Iterable[list[float]]:
    """Longer bars from minutes: time in Unix seconds, open, high, low, close, volume."""
    bar: list[float] = []
    for candle in candles:
        began = candle.minute // step * step * 60
        opened, high, low, close, volume = map(float, candle[1:])
        if bar and bar[0] == began:
            bar[2], bar[3], bar[4] = max(bar[2], high), min(bar[3], low), close
            bar[5] += volume
            continue
        if bar:
            yield bar
        bar = [began, opened, high, low, close, volume]
    if bar:
        yield bar


def _fill(fill: Fill) -> tuple[Any, ...]:
    """Time, side, quantity, price, whether it reduces, origin."""
    result = fill.result
    return (
        result.timestamp // 1000,
        result.side.value,
        float(result.filled_quantity),
        float(result.filled_price or 0),
        int(result.reduce_only),
        result.origin.value,
    )


def _refusal(decision: RiskDecision) -> tuple[Any, ...]:
    """Time, side, price, whether it was an exit, layer, reason, the layer's figures."""
    layer = layer_of(decision)
    failed = next(
        (
            f"{one.name}: {layer_line(one)}"
            for one in decision.layers
            if one.layer == layer and one.verdict is LayerVerdict.FAIL
        ),
        "",
    )
    price = None if decision.price is None else float(decision.price)
    return (
        decision.timestamp // 1000,
        decision.side.value,
        price,
        int(decision.reduce_only),
        layer,
        decision.reason or "UNKNOWN",
        failed,
    )


def _refused_by_reason(facts: RunFacts) -> list[tuple[str, int, int]]:
    counts = Counter((d.reason or "UNKNOWN", layer_of(d)) for d in refused(facts))
    return [(reason, layer, count) for (reason, layer), count in counts.most_common()]


def _curve(facts: RunFacts) -> dict[str, list[float]]:
    """Equity, buying and holding, and exposure; of many points the lowest and the last of each."""
    times, equity = account_curve(facts)
    held = buy_and_hold(facts, times)
    exposure = [0.0, *(float(point.exposure) for point in facts.account)]
    size = max(1, -(-2 * len(times) // MOST_POINTS))
    kept = [0]
    for start in range(1, len(times), size):
        block = range(start, min(start + size, len(times)))
        kept += sorted({min(block, key=lambda place: equity[place]), block[-1]})
    return {
        "time": [times[place] // 1000 for place in kept],
        "equity": [round(equity[place], 4) for place in kept],
        "held": [round(held[place], 4) for place in kept],
        "exposure": [round(exposure[place], 2) for place in kept],
    }


def _months(facts: RunFacts) -> list[tuple[int, int, float, float]]:
    """Year, month, and what the account and buying and holding gained in it, as fractions."""
    times, equity = account_curve(facts)
    held = buy_and_hold(facts, times)
    found: list[tuple[int, int, float, float]] = []
    before = 0
    while before < len(times) - 1:
        at = datetime.fromtimestamp(times[before + 1] / 1000, UTC)
        year, month = divmod(at.year * 12 + at.month, 12)
        following = datetime(year, month + 1, 1, tzinfo=UTC).timestamp() * 1000
        last = max(bisect_left(times, int(following)) - 1, before + 1)
        gains = (
            curve[last] / curve[before] - 1 if curve[before] else 0.0 for curve in (equity, held)
        )
        found.append((at.year, at.month, *gains))  # type: ignore[arg-type]
        before = last
    return found


def _trade(trip: Any, lines: Sequence[str]) -> tuple[Any, ...]:
    return (
        trip.symbol,
        trip.side.value,
        float(trip.quantity),
        float(trip.entry_price),
        float(trip.exit_price),
        trip.opened_at // 1000,
        trip.closed_at // 1000,
        round(float(trip.net), 4),
        round(float(trip.fees + trip.spread + trip.impact - trip.funding), 4),
        trip.exit_reason,
        list(lines),
    )
