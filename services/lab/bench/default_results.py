"""What the default settings make of recorded files: each is played alone through the real stages.

One process, no bus, no database: the kernel's pipeline is fed the events that a replay of the file
publishes, so that its decisions are those of ``claire run-paper`` on the same file.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Final

from msgspec import Struct, field

from services.backtest.events_engine import fresh_run
from services.backtest.events_engine import play as play_run
from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import DataFile, FileKind, describe
from services.cdb_ws.sources.replay import Replay
from services.kernel.events import (
    Clock,
    Event,
    MarketData,
    MarketDataKind,
    Order,
    OrderResult,
    Origin,
    RiskDecision,
    Signal,
    TradingState,
    TradingStateChanged,
    topics,
)
from services.kernel.events.costs import Costs
from services.kernel.instruments.contracts import Instrument
from services.kernel.matching.fills import TAKER
from services.kernel.portfolio.ledger import fill_costs
from services.kernel.settings.model import TradingSettings
from services.proof.validation.findings import Findings
from services.proof.validation.margins import MarginCheck
from services.proof.validation.stops import StopCheck
from services.reports.fill_drift import ENTRIES, EXITS, KINDS, STOPS

RUN_ID: Final = "default results"
SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
ZERO: Final = Decimal(0)
BPS: Final = Decimal(10_000)
DAY_MS: Final = 86_400_000


class Drift(Struct):
    """How far the market moved against orders until their fills; positive is against us.

    What half the spread and the impact cost comes on top, as in `services.reports.fill_drift`.

    Attributes:
        notional: Of the fills at the market, at their reference prices, in quote.
        money: In quote.
    """

    notional: Decimal = ZERO
    money: Decimal = ZERO

    @property
    def bp(self) -> Decimal | None:
        """Mean in basis points, weighted by notional; None without a fill."""
        return self.money / self.notional * BPS if self.notional else None


class FileResult(Struct, kw_only=True):
    """What a run on one file came to. Money in the symbol's quote currency.

    Attributes:
        file: Name of the file that has the trades or bars.
        problem: Why it was not played; None where it was.
        days: Event time from the first tick to the last.
        ticks: Trades, bars' points included.
        entry_signals, exit_signals: What the strategy asked for.
        entries, exits: Orders of each kind that were filled, at least in part.
        refused: Entry signals that risk refused, by reason.
        costs: Of all fills; and the funding received.
        halted_at: Time of the first halt, Unix milliseconds; None where trading never halted.
        drift: By kind of order: ``entries``, ``exits``, ``stops``. A stop's is measured from the
            stop, the others' from the price that they were decided at.
        broken: Findings of `claire validate` on margins and stops, by rule.
    """

    file: str
    problem: str | None = None
    days: Decimal = ZERO
    ticks: int = 0
    entry_signals: int = 0
    exit_signals: int = 0
    entries: int = 0
    exits: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    start_equity: Decimal = ZERO
    equity: Decimal = ZERO
    max_drawdown_pct: Decimal = ZERO
    halted_at: int | None = None
    halted_for: str | None = None
    drift: dict[str, Drift] = field(default_factory=lambda: {kind: Drift() for kind in KINDS})
    broken: dict[str, int] = field(default_factory=dict)

    @property
    def paid(self) -> Decimal:
        """Fees, spread, impact and funding together."""
        costs = self.costs
        return costs.fees + costs.spread + costs.impact - costs.funding

    @property
    def paid_pct(self) -> Decimal:
        """Costs over the equity at the start."""
        return self.paid / self.start_equity if self.start_equity else ZERO

    @property
    def net(self) -> Decimal:
        """Equity at the end less equity at the start."""
        return self.equity - self.start_equity


def market_files(folder: Path) -> list[tuple[Path, ...]]:
    """The runs that a folder's files make: each file with trades or bars, its trades or bars first.

    Quotes and funding rates of the same venue and symbol are played beside it; alone they cause no
    signal. Files whose names say nothing are left out.

    Raises:
        DataError: There is no such file in the folder.
    """
    known: list[DataFile] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.endswith(SUFFIXES):
            try:
                known.append(describe(path))
            except DataError:
                continue
    priced = [file for file in known if file.kind in (FileKind.TRADES, FileKind.KLINES)]
    if not priced:
        raise DataError(folder, None, "it has no file of trades or bars", "name another folder")
    beside = [file for file in known if file not in priced]
    return [
        (
            file.path,
            *(
                other.path
                for other in beside
                if (other.exchange, other.symbol) == (file.exchange, file.symbol)
            ),
        )
        for file in priced
    ]


def play(
    paths: Iterable[Path], values: Mapping[str, str], instruments: Path | None = None
) -> FileResult:
    """Play files as one market.

    Args:
        paths: The first gives the result its name.
        values: Trading settings that differ from the defaults, by variable.
        instruments: A file with contract details, if there is one.

    Raises:
        DataError: A file is unusable.
        SettingError: A setting is no number.
    """
    paths = list(paths)
    replay = Replay(paths, RUN_ID, instruments)
    settings, _ = TradingSettings.parse(values)
    gathered = _Gathered(paths[0].name, replay.contracts)
    began = replay.first_timestamp
    run = fresh_run(
        RUN_ID, settings.to_mapping(), at=began, source="replay", seed=1, code_version=""
    )
    portfolio = play_run(run, replay, observers=(gathered,)).portfolio
    result, last = gathered.result, max(gathered.last, began)
    result.days = Decimal(last - began) / DAY_MS
    result.start_equity, result.equity = settings.account_equity, portfolio.equity
    result.max_drawdown_pct = portfolio.state.max_drawdown_pct
    result.costs += Costs(funding=portfolio.state.funding)
    result.broken = {str(rule): number for rule, number in gathered.findings.by_rule.items()}
    return result


class _Gathered:
    """Takes every event in its order."""

    topics: ClassVar[frozenset[str]] = frozenset(topics.TOPICS)

    def __init__(self, file: str, contracts: Iterable[Instrument]) -> None:
        self.result = FileResult(file=file)
        self.last = 0
        self._inverse = {contract.symbol: contract.inverse for contract in contracts}
        self._reference: dict[str, Decimal] = {}
        self._filled: set[str] = set()
        self.findings = Findings()
        self._checks = (MarginCheck(self.findings), StopCheck(self.findings))

    def handle(self, event: Event) -> list[Event]:
        self._see(event)
        return []

    def _see(self, event: Event) -> None:
        result = self.result
        self.last = max(self.last, event.timestamp)
        if isinstance(event, MarketData):
            result.ticks += event.kind is MarketDataKind.TRADE
            return
        if isinstance(event, Clock):
            return
        for check in self._checks:
            check.see(event)
        if isinstance(event, Signal):
            result.exit_signals += event.reduce_only
            result.entry_signals += not event.reduce_only
        elif isinstance(event, RiskDecision):
            self._on_decision(event)
        elif isinstance(event, Order):
            self._reference.setdefault(event.order_id, event.price)
        elif isinstance(event, OrderResult):
            self._on_result(event)
        elif isinstance(event, TradingStateChanged):
            halted = event.symbol is None and event.state is TradingState.HALTED
            if halted and result.halted_at is None:
                result.halted_at, result.halted_for = event.timestamp, event.reason

    def _on_decision(self, event: RiskDecision) -> None:
        if event.reason is not None and not event.reduce_only:
            refused = self.result.refused
            refused[event.reason] = refused.get(event.reason, 0) + 1
        stop = event.stop_loss_price
        if event.origin is Origin.STOP_LOSS and event.order_id is not None and stop is not None:
            self._reference[event.order_id] = stop

    def _on_result(self, event: OrderResult) -> None:
        price = event.filled_price
        if price is None:
            return
        result = self.result
        if event.order_id not in self._filled:
            self._filled.add(event.order_id)
            result.exits += event.reduce_only
            result.entries += not event.reduce_only
        inverse = self._inverse[event.symbol]
        costs = fill_costs(event, inverse=inverse)
        result.costs += costs
        if event.liquidity != TAKER:
            return
        reference = self._reference[event.order_id]
        coins = event.filled_quantity / price if inverse else event.filled_quantity
        missed = (price - reference) * event.side.sign * coins
        drift = result.drift[_kind(event)]
        drift.notional += reference * coins
        drift.money += missed - costs.spread - costs.impact


def _kind(event: OrderResult) -> str:
    if event.origin is Origin.STOP_LOSS:
        return STOPS
    return EXITS if event.reduce_only else ENTRIES
