"""The chaos table: fault, times, lost, doubled, divergences, seconds to trading."""

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.chaos.inspection import Inspection

HEADER: Final = (
    "fault", "times", "lost", "named lost", "doubled", "divergences", "findings",
    "seconds to trading (median, worst)",
)  # fmt: skip


@dataclass(slots=True)
class Line:
    """One fault, and what it did.

    Attributes:
        fault: What was done.
        seconds: From the end of each to trading.
        lost, named, doubled, divergences, findings: As the inspections after it say, without what
            the ones before it said already.
        halts: Halts that a person had to release.
        waited_for: What was missing to trading after the worst of them, second by second.
    """

    fault: str
    seconds: list[float] = field(default_factory=list)
    lost: int = 0
    named: int = 0
    doubled: int = 0
    divergences: int = 0
    findings: int = 0
    halts: list[str] = field(default_factory=list)
    waited_for: list[str] = field(default_factory=list)

    def add(self, seconds: float, waited_for: list[str]) -> None:
        """Book one wait for trading."""
        if seconds >= max(self.seconds, default=0.0):
            self.waited_for = waited_for
        self.seconds.append(seconds)

    def cells(self) -> tuple[str, ...]:
        """As the table shows them."""
        seconds = "-"
        if self.seconds:
            seconds = f"{statistics.median(self.seconds):.1f}, {max(self.seconds):.1f}"
        return (
            self.fault, str(len(self.seconds)), str(self.lost), str(self.named),
            str(self.doubled), str(self.divergences), str(self.findings), seconds,
        )  # fmt: skip


class Table:
    """All faults of this session."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.record: dict[str, Any] = {}
        self._before: Inspection | None = None

    def line(self, fault: str) -> Line:
        """The line of a fault, added when it is new."""
        for line in self.lines:
            if line.fault == fault:
                return line
        self.lines.append(Line(fault))
        return self.lines[-1]

    def account(self, line: Line, found: Inspection) -> None:
        """Book what an inspection found more than the one before it."""
        before = self._before or Inspection(found.span)
        line.lost += max(0, found.lost - before.lost)
        line.named += max(0, found.named - before.named)
        line.doubled += max(0, found.doubled - before.doubled)
        line.divergences += max(0, found.divergences - before.divergences)
        line.findings += max(0, found.findings - before.findings)
        self._before = found
        self.record = {
            "events_upto": found.span.upto,
            "ticks": found.ticks,
            "outputs_compared": found.decisions,
            **found.counts,
        }

    def text(self) -> list[str]:
        """The table, aligned."""
        rows = [HEADER, *(line.cells() for line in self.lines)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
        ruler = tuple("-" * width for width in widths)
        return [
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (rows[0], ruler, *rows[1:])
        ]

    def write(self, path: Path) -> None:
        """The same as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {"faults": [asdict(line) for line in self.lines], "record": self.record}
        path.write_text(json.dumps(body, indent=2) + "\n", "utf-8")
