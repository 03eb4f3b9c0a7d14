"""How much a symbol moves: average true range and volatility a year, measured on its own bars."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import MarketData
from services.kernel.instruments.rounding import rounded
from services.kernel.market.bars import Bar, BarBuilder
from services.kernel.units import ZERO

PERIODS = 14
"""Bars before a measure is believed, and the memory of the average true range."""
DECAY = Decimal("0.94")
"""Weight of the past in the variance (RiskMetrics, 1996)."""
MINUTES_PER_YEAR = 525_960
STEP = Decimal("1E-12")


class Volatility(Struct, kw_only=True):
    """What sizing knows of one symbol's moves.

    Sources: average true range, Wilder, "New Concepts in Technical Trading Systems" (1978);
    exponentially weighted variance of returns, J.P. Morgan, "RiskMetrics" (1996).

    Attributes:
        average_range: Quote per base; the plain mean until `PERIODS` bars are there.
        variance: Of the return from one bar's close to the next; the plain mean likewise.
        samples: Bars measured, the first one, which has nothing before it, left out.
    """

    bars: BarBuilder
    last_close: Decimal | None = None
    average_range: Decimal = ZERO
    variance: Decimal = ZERO
    samples: int = 0

    @property
    def is_known(self) -> bool:
        """Whether enough bars were measured."""
        return self.samples >= PERIODS

    @property
    def per_year(self) -> Decimal:
        """Standard deviation of a year's return, as a fraction: the square root of time."""
        bars_per_year = Decimal(MINUTES_PER_YEAR * 60_000) / self.bars.length_ms
        return rounded((self.variance * bars_per_year).sqrt(), STEP)

    def on_trade(self, trade: MarketData) -> None:
        """Take a trade of any age; one without a price was voided, and only its volume counts."""
        at, price, volume = trade.timestamp, trade.price, trade.volume
        if volume is None:
            return
        if price is None:
            self.bars.add_volume(at, volume, trade.backfill)
        else:
            self.bars.add(at, price, volume, trade.backfill)

    def on_clock(self, now: int, unconfirmed_at: int | None = None) -> None:
        """Measure the bars that are over at ``now``; both in Unix milliseconds.

        Args:
            now: Stage time.
            unconfirmed_at: Time of a trade that is not confirmed yet: its bar waits.
        """
        for bar in self.bars.close(now, unconfirmed_at):
            self._measure(bar)

    def _measure(self, bar: Bar) -> None:
        before, self.last_close = self.last_close, bar.close
        if before is None:
            return
        true_range = max(bar.high, before) - min(bar.low, before)
        squared = (bar.close / before - 1) ** 2
        self.samples += 1
        periods = min(self.samples, PERIODS)
        kept = DECAY if self.samples > PERIODS else 1 - Decimal(1) / periods
        self.average_range = rounded(
            self.average_range + (true_range - self.average_range) / periods, STEP
        )
        self.variance = rounded(self.variance * kept + squared * (1 - kept), STEP)
