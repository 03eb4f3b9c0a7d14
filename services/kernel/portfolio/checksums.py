"""Checksums of the portfolio: services compare them once a minute."""

from collections.abc import Iterable

from msgspec import Struct

from services.kernel.events import Clock, PortfolioSnapshot, PositionView, SymbolView
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.units import MINUTE_MS

KEPT = 60
"""Minutes of event time by which the orchestrator may be late and still be compared."""
FIGURES_KEPT = 5
"""Minutes of which the figures are kept as well, to say what differs."""
DIFFERENCES_REPORTED = 5
ACCOUNT_FIGURES = (
    *("equity", "cash", "realised_profit", "unrealised_profit", "fees", "funding"),
    *("peak_equity", "day_start_equity"),
)
POSITION_FIGURES = ("quantity", "entry_price", "mark_price", "stop_loss_price", "leverage")
SYMBOL_FIGURES = ("realised_profit", "fees", "funding")

Figures = dict[str, str]


def is_first_of_minute(previous: int, now: int) -> bool:
    """Whether ``now`` is the first clock of its minute; both in Unix milliseconds."""
    return previous // MINUTE_MS != now // MINUTE_MS


class PortfolioChecksums(Struct, kw_only=True):
    """A fold at the last minutes' first clocks, by clock event id.

    Attributes:
        checksums: The last `KEPT` minutes', the oldest first.
        figures: What the last `FIGURES_KEPT` were made of.
    """

    checksums: dict[str, str] = {}
    figures: dict[str, Figures] = {}

    def remember(self, clock: Clock, previous: int, portfolio: Portfolio) -> None:
        """Keep the fold as it is at a minute's first clock.

        Args:
            clock: The present one.
            previous: Time of the one before, Unix milliseconds.
            portfolio: The fold after ``clock``.
        """
        if not is_first_of_minute(previous, clock.timestamp):
            return
        self.checksums[clock.event_id] = portfolio.checksum()
        positions, symbols = views.positions(portfolio), views.symbols(portfolio)
        account = {name: str(getattr(portfolio.state, name)) for name in ACCOUNT_FIGURES}
        account["unrealised_profit"] = str(portfolio.unrealised_profit)
        self.figures[clock.event_id] = account | _parts(positions, symbols)
        while len(self.checksums) > KEPT:
            del self.checksums[next(iter(self.checksums))]
        while len(self.figures) > FIGURES_KEPT:
            del self.figures[next(iter(self.figures))]

    def difference(self, snapshot: PortfolioSnapshot) -> str | None:
        """Where the orchestrator's fold at the same clock differs; None where it does not."""
        clock = snapshot.causation_id or ""
        own = self.checksums.get(clock)
        if own is None or own == snapshot.checksum:
            return None
        message = f"portfolio checksum {own} differs from {snapshot.checksum} of "
        message += f"{snapshot.producer} at {snapshot.timestamp}"
        figures = self.figures.get(clock)
        if figures is None:
            return message
        theirs = {name: str(getattr(snapshot, name)) for name in ACCOUNT_FIGURES}
        theirs |= _parts(snapshot.positions, snapshot.symbols)
        found = [
            f"{name} is {figures.get(name, 'missing')} here, {theirs.get(name, 'missing')} there"
            for name in sorted(figures.keys() | theirs.keys())
            if figures.get(name) != theirs.get(name)
        ]
        reported = found[:DIFFERENCES_REPORTED] or ["in nothing that is published"]
        more = f"; and {len(found) - len(reported)} more" if len(found) > len(reported) else ""
        return f"{message}: {'; '.join(reported)}{more}"


def _parts(positions: Iterable[PositionView], symbols: Iterable[SymbolView]) -> Figures:
    """What is compared of each position and of each symbol's part, by name."""
    held = {
        f"{view.symbol} {name}": str(getattr(view, name))
        for view in positions
        for name in POSITION_FIGURES
    }
    return held | {
        f"{view.symbol} {name}": str(getattr(view, name))
        for view in symbols
        for name in SYMBOL_FIGURES
    }
