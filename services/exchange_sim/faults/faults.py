"""What can go wrong at the exchange, on demand: the faults, their scripts, scripts from a seed."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder


class FaultKind(StrEnum):
    """The faults; ``MEANING`` says what each does."""

    REFUSE = "refuse"
    DROP_HANDSHAKE = "drop_handshake"
    MOVED = "moved"
    DROP = "drop"
    CLOSE = "close"
    SILENCE = "silence"
    HALF_OPEN = "half_open"
    SLOW = "slow"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    HOLE = "hole"
    STALE_BOOK = "stale_book"
    CROSSED_BOOK = "crossed_book"
    MALFORMED = "malformed"
    WRONG_TYPES = "wrong_types"
    UNKNOWN = "unknown"
    HUGE = "huge"
    SYMBOL_SILENT = "symbol_silent"
    CLOCK_JUMP = "clock_jump"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    HTTP_SLOW = "http_slow"
    CONTRACT_CHANGED = "contract_changed"


class Meaning(Struct, frozen=True):
    """What a fault does.

    Attributes:
        text: For a reader.
        amount: What ``Fault.amount`` is, and its default; empty where it has none.
        instant: Whether it happens once and has no length.
    """

    text: str
    amount: str = ""
    default: float = 0.0
    instant: bool = False


MEANING: Final = {
    FaultKind.REFUSE: Meaning("connections are cut before a byte of an answer"),
    FaultKind.DROP_HANDSHAKE: Meaning("connections are cut in the middle of the handshake"),
    FaultKind.MOVED: Meaning("the socket's address answers 404, REST 301 to another one"),
    FaultKind.DROP: Meaning("sockets are cut without a close frame", instant=True),
    FaultKind.CLOSE: Meaning(
        "sockets are closed in order", "the close code", default=1001, instant=True
    ),
    FaultKind.SILENCE: Meaning("nothing is sent, pongs neither; then it goes on, all is lost"),
    FaultKind.HALF_OPEN: Meaning("the open sockets are dead for ever; new ones work", instant=True),
    FaultKind.SLOW: Meaning("frames come late, in order", "milliseconds", default=3_000),
    FaultKind.DUPLICATE: Meaning("trades are pushed again", "share of frames", default=0.5),
    FaultKind.REORDER: Meaning(
        "frames of trades overtake each other by up to 0.8 s", "share of frames", default=0.5
    ),
    FaultKind.HOLE: Meaning("trades are never pushed, REST has them", "share", default=1.0),
    FaultKind.STALE_BOOK: Meaning("books of an older version are mixed in", "share", default=0.5),
    FaultKind.CROSSED_BOOK: Meaning("the best bid lies above the best ask", "share", default=1.0),
    FaultKind.MALFORMED: Meaning("frames are cut short", "share of frames", default=0.5),
    FaultKind.WRONG_TYPES: Meaning("fields have types of others", "share of frames", default=0.5),
    FaultKind.UNKNOWN: Meaning("unknown channels and fields are mixed in", "share", default=0.5),
    FaultKind.HUGE: Meaning(
        "each socket gets one giant frame", "bytes", default=32 << 20, instant=True
    ),
    FaultKind.SYMBOL_SILENT: Meaning("one symbol is pushed on no channel; it trades on"),
    FaultKind.CLOCK_JUMP: Meaning("the server's time is off", "milliseconds", default=90_000),
    FaultKind.HTTP_429: Meaning("REST answers 429"),
    FaultKind.HTTP_5XX: Meaning("REST answers 503"),
    FaultKind.HTTP_SLOW: Meaning("REST answers late", "milliseconds", default=20_000),
    FaultKind.CONTRACT_CHANGED: Meaning("highest leverages are halved and announced", instant=True),
}


class ScriptError(ValueError):
    """A script of faults is not usable; the message says why."""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault.

    Attributes:
        at_s: Seconds after the opening at which it begins.
        for_s: How long it lasts; None is until it is cleared, or at once for an instant one.
        symbol: The only contract it concerns; None is all.
        socket: The only open socket it concerns, 0 being the oldest; None is all.
        amount: What ``MEANING`` says; None is the default.
    """

    kind: FaultKind
    at_s: float = 0.0
    for_s: float | None = None
    symbol: str | None = None
    socket: int | None = None
    amount: float | None = None

    def __post_init__(self) -> None:
        for name in ("at_s", "for_s"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}; it must be 0 or more seconds")

    @property
    def size(self) -> float:
        """``amount`` or its default."""
        return MEANING[self.kind].default if self.amount is None else self.amount


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """The faults of a session, in any order."""

    faults: tuple[Fault, ...] = ()


NO_FAULTS: Final = Script()


def read_script(path: Path) -> Script:
    """The script in a JSON file: ``{"faults": [{"kind": "drop", "at_s": 30}, ...]}``.

    Raises:
        ScriptError: It cannot be read, or has an unknown fault or field.
    """
    try:
        return Decoder(Script).decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        known = ", ".join(FaultKind)
        raise ScriptError(f"{path} is no script of faults: {error}; faults: {known}") from error


def write_script(script: Script) -> str:
    """The script as ``read_script`` reads it."""
    return json.dumps(msgspec.to_builtins(script), indent=1)


QUIET_SHARE: Final = 0.3
"""The last part of a generated script has no fault, so that all can recover in it."""

_ABOUT_SYMBOLS: Final = frozenset(
    {
        FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.HOLE, FaultKind.STALE_BOOK,
        FaultKind.CROSSED_BOOK, FaultKind.MALFORMED, FaultKind.WRONG_TYPES, FaultKind.SYMBOL_SILENT,
    }
)  # fmt: skip


def script_from_seed(seed: int, duration_s: float, symbols: Sequence[str], most: int = 6) -> Script:
    """One to ``most`` faults of any kind that troubles a feed, the same for the same arguments."""
    random = Random(f"{seed} faults")  # noqa: S311 - chance on purpose
    kinds = [kind for kind in FaultKind if kind is not FaultKind.CONTRACT_CHANGED]
    end = duration_s * (1 - QUIET_SHARE)
    faults = [
        _fault(random, random.choice(kinds), end, symbols)
        for _ in range(1 + int(random.random() * most))
    ]
    return Script(tuple(sorted(faults, key=lambda fault: fault.at_s)))


def _fault(random: Random, kind: FaultKind, end_s: float, symbols: Sequence[str]) -> Fault:
    at_s = round(end_s * (0.05 + 0.9 * random.random()), 3)
    # Most are short, some last for minutes.
    length = round(min(end_s - at_s, 1 + 120 * random.random() ** 3), 3)
    about_one = kind is FaultKind.SYMBOL_SILENT or random.random() < 0.5
    return Fault(
        kind=kind,
        at_s=at_s,
        for_s=None if MEANING[kind].instant else length,
        symbol=random.choice(list(symbols)) if kind in _ABOUT_SYMBOLS and about_one else None,
        socket=0 if MEANING[kind].instant and random.random() < 0.3 else None,
        amount=_amount(random, kind),
    )


def _amount(random: Random, kind: FaultKind) -> float | None:
    if kind is FaultKind.CLOCK_JUMP:
        return float(int((random.random() - 0.5) * 240_000))
    if kind is FaultKind.SLOW:
        return float(int(200 + 8_000 * random.random()))
    if kind is FaultKind.HUGE:
        return float(random.choice((1 << 20, 4 << 20, 20 << 20)))
    if "share" in MEANING[kind].amount:
        return round(0.05 + 0.95 * random.random(), 2)
    return None
