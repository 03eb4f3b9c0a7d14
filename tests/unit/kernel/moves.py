"""Symbols that move together, or not, minute by minute: what correlation is measured on."""

from decimal import Decimal
from random import Random

from tests.unit.kernel.desk import Desk

MINUTES = 45
STEP = Decimal("0.002")


def walk(
    desk: Desk, *symbols: str, own: str = "0", opposite: bool = False, minutes: int = MINUTES
) -> None:
    """All symbols take the first one's steps, each with steps of its own besides; ends at 100.

    Args:
        desk: Where the trades happen, one per symbol and minute.
        symbols: The first one leads.
        own: Size of a symbol's own steps, in steps of the leader.
        opposite: The others take the leader's steps the other way round.
        minutes: How many.
    """
    leading = Random(1)  # noqa: S311  repeatable on purpose
    others = [Random(n) for n in range(2, len(symbols) + 1)]  # noqa: S311  as above
    for _ in range(minutes):
        step = leading.choice((-1, 1)) * STEP
        desk.trade(100 * (1 + step), symbols[0])
        for random, symbol in zip(others, symbols[1:], strict=True):
            shared = -step if opposite else step
            alone = random.choice((-1, 1)) * STEP * Decimal(own)
            desk.trade(100 * (1 + shared + alone), symbol)
        desk.wait(60, step=30)
