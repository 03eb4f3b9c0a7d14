"""Health is a measurement: what was measured, and every reason why the job cannot be done now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """One measurement.

    Attributes:
        reasons: Why the service cannot do its job now; empty when it can.
        measured: What was looked at, name to figure, whether good or bad.
    """

    reasons: tuple[str, ...] = ()
    measured: Mapping[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the service can do its job."""
        return not self.reasons


Measure = Callable[[], Health]


def merged(measures: list[Measure]) -> Health:
    """All measurements as one: healthy only if each is."""
    healths = [measure() for measure in measures]
    measured: dict[str, object] = {}
    for health in healths:
        measured |= health.measured
    return Health(tuple(reason for health in healths for reason in health.reasons), measured)
