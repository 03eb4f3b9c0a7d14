"""How much a symbol moves: average true range and volatility, on bars closed by proof."""

from decimal import Decimal

import msgspec
import pytest

from services.kernel.events import MarketDataKind
from services.kernel.market.bars import GRACE_MS, BarBuilder
from services.kernel.market.volatility import PERIODS, Volatility
from tests import builders
from tests.builders import BTC, MINUTE_MS, NOON

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def measured(closes: list[str], *, high: str = "0", minutes: int = 1) -> Volatility:
    """One bar per close; each begins at its close, and goes up by ``high`` once."""
    length = minutes * MINUTE_MS
    volatility = Volatility(bars=BarBuilder(symbol=BTC, length_ms=length))
    at = NOON
    for close in closes:
        price = Decimal(close)
        for offset, traded in ((0, price), (100, price + Decimal(high)), (200, price)):
            volatility.on_trade(builders.trade(BTC, traded, at + offset))
        at += length
        volatility.on_clock(at + GRACE_MS)
    return volatility


def test_nothing_is_known_before_enough_bars() -> None:
    assert not measured(["100"] * PERIODS).is_known
    assert measured(["100"] * (PERIODS + 1)).is_known


def test_a_bar_that_is_not_over_is_not_measured() -> None:
    volatility = measured(["100"] * 3)
    volatility.on_trade(builders.trade(BTC, 200, NOON + 3 * MINUTE_MS))
    volatility.on_clock(NOON + 4 * MINUTE_MS)  # the grace is not over

    assert volatility.samples == 2
    assert volatility.average_range == 0


def test_a_bar_with_an_unconfirmed_print_waits_for_it() -> None:
    volatility = measured(["100"] * 3)
    at = NOON + 3 * MINUTE_MS
    volatility.on_trade(builders.trade(BTC, 100, at))

    volatility.on_clock(at + 2 * MINUTE_MS, at + 1000)
    assert volatility.samples == 2
    volatility.on_trade(msgspec.structs.replace(builders.trade(BTC, 1, at + 1000, 5), price=None))
    assert volatility.bars.recent[-1].volume == 6
    volatility.on_clock(at + 2 * MINUTE_MS)

    assert (volatility.samples, volatility.average_range) == (3, 0)


def test_a_trade_without_a_volume_is_none() -> None:
    volatility = measured(["100"])

    volatility.on_trade(builders.tick(MarketDataKind.TRADE, BTC, NOON, price=Decimal(1)))

    assert volatility.bars.recent[0].low == 100


def test_the_range_counts_from_the_close_before() -> None:
    # Bars of range 2; each begins 3 above the close before: true range 5.
    rising = measured([str(100 + 3 * n) for n in range(PERIODS + 1)], high="2")
    # Falling by 3: from the close before down to the close.
    falling = measured([str(200 - 3 * n) for n in range(PERIODS + 1)], high="2")

    assert rising.average_range == 5
    assert falling.average_range == 3


def test_the_average_range_forgets_at_wilder_s_pace() -> None:
    volatility = measured(["100"] * (PERIODS + 1), high="2")
    assert volatility.average_range == 2
    volatility = measured([*["100"] * (PERIODS + 1), "116"], high="2")

    assert volatility.average_range == pytest.approx(Decimal(2) + Decimal(16) / PERIODS)


def test_volatility_is_the_root_of_the_mean_square_return_a_year() -> None:
    swinging = ["100" if n % 2 else "101" for n in range(PERIODS + 1)]
    volatility = measured(swinging)
    up, down = Decimal("0.01"), 1 - Decimal(100) / 101
    expected = (up**2 + down**2) / 2 * 525_960

    assert volatility.per_year == pytest.approx(expected.sqrt(), rel=Decimal("1e-6"))
    hourly = measured(swinging, minutes=60)
    shorter = volatility.per_year / Decimal(60).sqrt()
    assert hourly.per_year == pytest.approx(shorter, rel=Decimal("1e-6"))


def test_a_still_price_has_none() -> None:
    assert measured(["100"] * 20).per_year == 0


def test_it_survives_a_restart() -> None:
    before = measured(["100", "101", "99"], high="1")
    after = msgspec.json.decode(msgspec.json.encode(before), type=Volatility)

    for volatility in (before, after):
        volatility.on_trade(builders.trade(BTC, 103, NOON + 3 * MINUTE_MS, backfill=True))
        volatility.on_clock(NOON + 4 * MINUTE_MS + GRACE_MS)

    assert before == after
    assert before.samples == 3
