"""How signals of one kind were decided: approved, trimmed, or rejected for a reason."""

from collections import Counter
from dataclasses import dataclass, field

from services.kernel.events import Verdict


@dataclass(slots=True)
class Answered:
    """Decisions on signals of one kind.

    Attributes:
        rejected: By reason.
    """

    approved: int = 0
    trimmed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> int:
        """Those that became an order."""
        return self.approved + self.trimmed

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.rejected.total()

    def add(self, verdict: str, reason: str | None, times: int = 1) -> None:
        """Count decisions that are alike."""
        if verdict == Verdict.APPROVED:
            self.approved += times
        elif verdict == Verdict.TRIMMED:
            self.trimmed += times
        else:
            self.rejected[str(reason)] += times
