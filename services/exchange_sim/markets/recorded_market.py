"""A recorded market for the fake exchange: data files, or anything else that replay can read."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from services.cdb_ws.sources.markets import open_market
from services.exchange_sim.markets.market import Fair, Funding, Happening, Print, Touch
from services.kernel.events import MarketData, MarketDataKind, Side
from services.kernel.instruments.contracts import Instrument

MINUTE_MS: Final = 60_000
CONTRACT_VALUE: Final = 10
"""A contract of a symbol without details is worth 1 to 10 of the quote currency, as on MEXC."""

_RUN: Final = "exchange-sim"


class RecordedMarket:
    """The files' trades, quotes, mark prices and funding rates, at their own pace.

    Args:
        paths: Data files or a recording, as replay reads them.
        instruments: A file with contract details; others get a contract of a plausible size.
        speed: Milliseconds of the record per millisecond.
        history_minutes: How much of the record's beginning lies before the opening (in the
            exchange's time).
        repeat: Whether the record begins again at its end; prices jump there.

    Raises:
        DataError: A file is missing or unusable.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Path | None = None,
        *,
        speed: float = 1.0,
        history_minutes: int = 16,
        repeat: bool = False,
    ) -> None:
        self._record = open_market(paths, _RUN, instruments)
        self._speed = speed
        self._history_ms = history_minutes * MINUTE_MS
        self._repeat = repeat
        self.contracts: tuple[Instrument, ...] = self._sized()
        self._numbers = {one.symbol: number for number, one in enumerate(self.contracts)}

    def happenings(self) -> Iterator[Happening]:
        """The events of the files; at their end the market is over, or starts again."""
        first = self._record.first_timestamp
        began = 0.0
        while True:
            passed = 0.0
            for _, event in self._record.steps(0):
                if isinstance(event, MarketData):
                    passed = (event.timestamp - first) / self._speed
                    happening = self._happening(event, began + passed - self._history_ms)
                    if happening is not None:
                        yield happening
            if not self._repeat or not passed:
                return
            began += passed

    def _happening(self, tick: MarketData, offset: float) -> Happening | None:
        number = self._numbers.get(tick.symbol)
        if number is None:  # listed while it was recorded; this exchange lists nothing later
            return None
        if tick.kind is MarketDataKind.TRADE and tick.price and tick.volume:
            size = self.contracts[number].contract_size
            contracts = max(1, int(tick.volume / size))
            return Print(offset, number, tick.price, contracts, tick.side is not Side.SELL)
        if tick.kind is MarketDataKind.MARK and tick.mark_price:
            return Fair(offset, number, tick.mark_price, tick.index_price or tick.mark_price)
        if tick.kind is MarketDataKind.FUNDING and tick.funding_rate is not None:
            return Funding(offset, number, tick.funding_rate)
        if tick.bid and tick.ask:
            return Touch(offset, number, tick.bid, tick.ask)
        return None

    def _sized(self) -> tuple[Instrument, ...]:
        unknown = {one.symbol for one in self._record.contracts if one.generic}
        prices: dict[str, Decimal] = {}
        if unknown:
            for _, event in self._record.steps(0):
                if isinstance(event, MarketData):
                    price = event.price or event.bid or event.mark_price
                    if price:
                        prices.setdefault(event.symbol, price)
                    if unknown <= prices.keys():
                        break
        return tuple(
            _plausible(one, prices[one.symbol]) if one.symbol in prices and one.generic else one
            for one in self._record.contracts
        )


def _plausible(contract: Instrument, price: Decimal) -> Instrument:
    """The contract with a power of ten as its size."""
    size = Decimal(1).scaleb((CONTRACT_VALUE / price).adjusted())
    return replace(contract, contract_size=size, lot_size=size, generic=False)
