"""What the same money would have become without trading: bought and held, in equal parts."""

from collections.abc import Sequence

from services.reports.run_facts import RunFacts, SymbolFacts

MS_PER_MINUTE = 60_000


def buy_and_hold(facts: RunFacts, times: Sequence[int]) -> list[float]:
    """Equity of equal parts of every symbol, bought at its first price and sold at the end.

    Without leverage and funding; the taker fee is paid for buying, and for selling at the end.

    Args:
        facts: Of the run.
        times: At which the equity is wanted, Unix ms, in order.

    Returns:
        Equity at each time, in quote; at the first one nothing is bought yet.
    """
    held = [market for market in facts.symbols.values() if market.candles]
    start = float(facts.start_equity)
    if not held or not times:
        return [start] * len(times)
    part = start / len(held)
    curves = [_curve(market, part, times) for market in held]
    return [sum(values) for values in zip(*curves, strict=True)]


def _curve(market: SymbolFacts, cash: float, times: Sequence[int]) -> list[float]:
    """One symbol's part: cash before its first price, then worth its last close."""
    fee = float(market.contract.taker_fee_rate)
    candles, place = market.candles, -1
    bought = float(candles[0].open)
    curve = []
    for at in times:
        while place + 1 < len(candles) and (candles[place + 1].minute + 1) * MS_PER_MINUTE <= at:
            place += 1
        price = bought if place < 0 else float(candles[place].close)
        began = place >= 0 or candles[0].minute * MS_PER_MINUTE <= at
        curve.append(cash * (1 - fee) * price / bought if began else cash)
    curve[0] = cash
    last = float(candles[-1].close)
    curve[-1] = cash * (1 - fee) * (1 - fee) * last / bought
    return curve
