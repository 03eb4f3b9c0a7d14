"""What shapes decisions and is not market data: runs, contracts, commands, conditions."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct, field

from services.kernel.events import topics
from services.kernel.events.costs import Costs
from services.kernel.events.envelope import Event, Side
from services.kernel.instruments.contracts import Instrument


class OpeningPosition(Struct, frozen=True, kw_only=True, gc=False):
    """A position that a run begins with; ``quantity`` is in the contract's unit.

    Attributes:
        funding_rate, funding_time: Of the settlement that it waits for, if that is known.
        funding_settled_at: The last settlement that it paid or received; 0 before the first.
        costs: What opening and holding it has cost in the runs before; paid from their cash.
        priced_at: When ``mark_price`` was made, Unix ms; None where that is not known.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal
    inverse: bool = False
    funding_rate: Decimal | None = None
    funding_time: int | None = None
    funding_settled_at: int = 0
    costs: Costs = field(default_factory=Costs)
    priced_at: int | None = None


class OpeningStreak(Struct, frozen=True, kw_only=True, gc=False):
    """Losses in a row of a symbol that a run begins with.

    Attributes:
        rest_ms: How long the symbol still may not be entered, from the run's first clock.
    """

    symbol: str
    losses: int
    rest_ms: int = 0


class OpeningPause(Struct, frozen=True, kw_only=True, gc=False):
    """A symbol that an anomaly pauses as a run begins.

    Attributes:
        reason: The anomaly.
        retry_ms: Time to its next retry, from the run's first clock.
        failed_retries: Retries in a row that found the anomaly again.
    """

    symbol: str
    reason: str
    retry_ms: int
    failed_retries: int = 0


class OpeningStance(Struct, frozen=True, kw_only=True, gc=False):
    """What the strategy's past signals in a symbol still mean as a run begins.

    Attributes:
        side: What it entered and has not left; None where it has left.
        rest_ms: How long it makes no entry signal, from the run's first clock.
    """

    symbol: str
    side: Side | None = None
    rest_ms: int = 0


class OpeningAccount(Struct, frozen=True, kw_only=True, gc=False):
    """The account a run begins with: fresh, or carried over from the run before.

    Attributes:
        cash: Equity without the unrealised profit of ``positions``.
        day: Days since 1970-01-01 (UTC) that ``day_start_equity`` belongs to; -1 in a fresh
            account, whose first clock opens its first day.
        halted: Reason of a halt that no reset has released yet.
        quarantined: Symbols that only a person may release.
        paused: An operator paused the account and has not resumed it.
        paused_symbols: Symbols that an operator paused.
        entries_ms: How long each entry approved within the last hour still counts, from the run's
            first clock.
        streaks: Losses in a row.
        pauses: Symbols that an anomaly pauses.
        stances: What the strategy's past signals still mean.
    """

    cash: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    day: int
    positions: tuple[OpeningPosition, ...] = ()
    halted: str | None = None
    quarantined: tuple[str, ...] = ()
    paused: bool = False
    paused_symbols: tuple[str, ...] = ()
    entries_ms: tuple[int, ...] = ()
    streaks: tuple[OpeningStreak, ...] = ()
    pauses: tuple[OpeningPause, ...] = ()
    stances: tuple[OpeningStance, ...] = ()


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """A run begins: everything that shapes its decisions and is not market data."""

    TOPIC: ClassVar[str] = topics.CONTROL

    settings: dict[str, str]
    seed: int
    code_version: str
    source: str
    account: OpeningAccount


class RunEnded(Event, frozen=True, kw_only=True, tag="run_ended"):
    """The run is over: its data or its duration."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str


class Instruments(Event, frozen=True, kw_only=True, tag="instruments"):
    """Contract details: all of them after ``run_started``, the changed ones later.

    Attributes:
        universe: Symbols in which new positions may be opened. A contract listed in ``instruments``
            but not here is reduce-only. None: every listed contract may be traded.
    """

    TOPIC: ClassVar[str] = topics.CONTROL

    instruments: tuple[Instrument, ...]
    universe: tuple[str, ...] | None = None


class Halt(Event, frozen=True, kw_only=True, tag="halt"):
    """Operator: stop all entries until a person resets."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    command_id: str | None = None
    issued_by: str = "operator"


class Reset(Event, frozen=True, kw_only=True, tag="reset"):
    """Operator: release a halt; peak and day start become present equity."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    command_id: str | None = None
    issued_by: str = "operator"


class Pause(Event, frozen=True, kw_only=True, tag="pause"):
    """Operator: no entries, for the account (``symbol`` null) or one symbol, until resumed."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    symbol: str | None = None
    command_id: str | None = None
    issued_by: str = "operator"


class Resume(Event, frozen=True, kw_only=True, tag="resume"):
    """Operator: end a pause or release a quarantined symbol."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    symbol: str | None = None
    command_id: str | None = None
    issued_by: str = "operator"


class CommandRepeated(Event, frozen=True, kw_only=True, tag="command_repeated"):
    """A command came again; risk answers it with the outcome of the first."""

    TOPIC: ClassVar[str] = topics.CONTROL

    command_id: str


class ConditionPhase(StrEnum):
    """Whether a condition holds from here on, or no longer."""

    BEGAN = "BEGAN"
    CLEARED = "CLEARED"


class ConditionName(StrEnum):
    """What a shell may see that changes decisions."""

    DATABASE_AWAY = "DATABASE_AWAY"
    LAG = "LAG"
    DATA_GAP = "DATA_GAP"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    RECORD_BROKEN = "RECORD_BROKEN"
    CLOCK_OFFSET = "CLOCK_OFFSET"
    SOURCE_ENDED = "SOURCE_ENDED"
    SETTING_OUT_OF_RANGE = "SETTING_OUT_OF_RANGE"


RUN_BREAKING: Final = frozenset({ConditionName.CHECKSUM_MISMATCH, ConditionName.RECORD_BROKEN})
"""Conditions that never clear: trading halts, and only a new run ends them."""


class Condition(Event, frozen=True, kw_only=True, tag="condition"):
    """A state of the system that changes decisions; while it is open, no entry passes.

    Attributes:
        lost_from: Of a ``DATA_GAP``: trades from this time (Unix ms) on are lost; None when none
            are. A gap that begins again with bounds stays open.
        lost_to: Up to this time, inclusive.
    """

    TOPIC: ClassVar[str] = topics.CONTROL

    name: ConditionName
    phase: ConditionPhase
    symbol: str | None
    detail: str
    lost_from: int | None = None
    lost_to: int | None = None


class Recovered(Event, frozen=True, kw_only=True, tag="recovered"):
    """The bus came back with less than it had; what lies between the bounds may be lost."""

    TOPIC: ClassVar[str] = topics.CONTROL

    epoch: str
    lost_from: int
    lost_to: int


class RecordHead(Event, frozen=True, kw_only=True, tag="record_head"):
    """The last recorded event, published by the writer, so that a truncated record is noticed.

    Attributes:
        committed_seq: The last event in the record.
        chain_hash: Head of its hash chain there, hexadecimal.
    """

    TOPIC: ClassVar[str] = topics.CONTROL

    committed_seq: int
    chain_hash: str
