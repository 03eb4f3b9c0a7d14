"""What `claire run-paper` is asked: durations, paces, settings and control files, checked early."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from services.cli.failure import BadInput
from services.kernel.bounded_json import Decoder
from services.kernel.settings.model import SettingError, TradingSettings
from services.kernel.settings.parameters import ALIASES, ALL_SPECS

COMMANDS = ("halt", "reset", "pause", "resume")
SETTABLE_BESIDES = ("INTERVAL", "TOP_N", "LOG_LEVEL")
"""What --set takes besides the trading settings; the other variables have options of their own."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """Market time such as ``90s``, ``15m``, ``2h`` or ``1d``; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds; fails as a wrong option does."""
        if isinstance(value, int):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = int(float(match[1]) * _UNIT_SECONDS[match[2]]) if match else 0
        if seconds < 1:
            self.fail(f"{value!r} is no duration; write 90s, 15m, 2h or 1d", param, ctx)
        return seconds


class Speed(click.ParamType[str]):
    """``max`` (lock-step), or how many seconds of market time pass in one second."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The speed in one spelling; fails as a wrong option does."""
        text = str(value).strip().lower()
        if text == "max":
            return text
        try:
            pace = float(text)
        except ValueError:
            pace = 0.0
        if not 0 < pace < float("inf"):
            self.fail(f"{value!r} is no speed; write 1, 60 or max", param, ctx)
        return f"{pace:g}"


@dataclass(frozen=True, slots=True)
class ControlEntry:
    """An operator command that is posted once event time has reached ``at`` (Unix ms)."""

    at: int
    command: str
    reason: str
    symbol: str | None = None


def read_control_file(path: Path) -> tuple[ControlEntry, ...]:
    """Read JSON lines such as ``{"at": 1583712000000, "command": "reset", "reason": "..."}``.

    Raises:
        BadInput: A line cannot be used; the message has file and line.
    """
    entries = [
        _control_entry(line, f"{path}:{number}")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if line.strip()
    ]
    return tuple(sorted(entries, key=lambda entry: entry.at))


def _control_entry(line: str, where: str) -> ControlEntry:
    try:
        fields = Decoder[Any]().decode(line)
    except msgspec.DecodeError as error:
        raise BadInput(f"{where}: not JSON ({error}); write one JSON object per line") from None
    if not isinstance(fields, dict):
        raise BadInput(f"{where}: {line.strip()!r} is no JSON object")
    unknown = sorted(set(fields) - {"at", "command", "reason", "symbol"})
    if unknown:
        raise BadInput(f"{where}: unknown key {unknown[0]!r}; known: at, command, reason, symbol")
    at, command, reason = fields.get("at"), fields.get("command"), fields.get("reason", "")
    if not isinstance(at, int) or isinstance(at, bool) or at < 0:
        raise BadInput(f"{where}: at={at!r} is no time; write Unix milliseconds (UTC)")
    if command not in COMMANDS:
        raise BadInput(f"{where}: command={command!r}; write one of {', '.join(COMMANDS)}")
    if not isinstance(reason, str) or (command == "reset" and not reason.strip()):
        raise BadInput(f"{where}: a reset needs a reason, for the record")
    symbol = fields.get("symbol")
    if symbol is not None and not isinstance(symbol, str):
        raise BadInput(f"{where}: symbol={symbol!r} is no symbol")
    return ControlEntry(at, command, reason or "from the control file", symbol)


def read_settings(assignments: Iterable[str]) -> dict[str, str]:
    """Check ``NAME=VALUE`` assignments.

    Returns:
        Name to value, names in upper case.

    Raises:
        BadInput: No such setting, or a value that cannot be understood.
    """
    names = [spec.name for spec in ALL_SPECS] + [*ALIASES, *SETTABLE_BESIDES]
    settings: dict[str, str] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        name = name.strip().upper()
        if not separator:
            raise BadInput(f"--set {assignment}: write NAME=VALUE")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "`claire config` lists them"
            raise BadInput(f"--set {assignment}: there is no setting {name}; {hint}")
        settings[name] = value.strip()
    out_of_range(settings)
    return settings


def out_of_range(settings: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each setting that is out of its range, and what is used instead.

    Raises:
        BadInput: A value is not a number.
    """
    try:
        _, problems = TradingSettings.parse(settings)
    except SettingError as error:
        raise BadInput(f"--set {error}") from None
    return tuple(problem.message for problem in problems)
