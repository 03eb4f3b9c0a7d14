"""The seven layers as a table, and how a candidate is judged by all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from services.kernel.events import LayerResult, LayerVerdict
from services.kernel.instruments.rounding import rounded
from services.kernel.reasons import Reason
from services.kernel.risk.checks import layer_checks
from services.kernel.risk.checks.candidate import CheckResult, RiskCheckInput

STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the table."""

    number: int
    name: str
    unit: str
    check: Callable[[RiskCheckInput], CheckResult]


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """All layers' results; ``failures`` from the lowest layer up, each with its reason."""

    results: tuple[LayerResult, ...]
    failures: tuple[tuple[int, Reason], ...]

    @property
    def reason(self) -> Reason | None:
        """Of the lowest failing layer; None when all pass."""
        return self.failures[0][1] if self.failures else None


def assess(inputs: RiskCheckInput) -> RiskAssessment:
    """Evaluate every layer; none is skipped when an earlier one fails."""
    results: list[LayerResult] = []
    failures: list[tuple[int, Reason]] = []
    for layer in LAYERS:
        found = layer.check(inputs)
        if found.reason is not None:
            failures.append((layer.number, found.reason))
        results.append(_result(layer, found))
    return RiskAssessment(tuple(results), tuple(failures))


def assess_exit(inputs: RiskCheckInput) -> tuple[LayerResult, ...]:
    """The layers' figures for an exit, which passes all of them."""
    return tuple(
        LayerResult(
            layer=layer.number,
            name=layer.name,
            verdict=LayerVerdict.PASS,
            value=_rounded(found.value),
            limit=found.limit,
            headroom=_headroom(found),
            unit=found.unit or layer.unit,
            detail=f"exits pass every layer; {found.detail}",
        )
        for layer in LAYERS
        for found in (layer.check(inputs),)
    )


def not_measured(detail: str) -> tuple[LayerResult, ...]:
    """All layers, for a signal that none of them could measure."""
    return tuple(
        LayerResult(
            layer=layer.number,
            name=layer.name,
            verdict=LayerVerdict.NOT_APPLICABLE,
            value=None,
            limit=None,
            headroom=None,
            unit=layer.unit,
            detail=detail,
        )
        for layer in LAYERS
    )


def _result(layer: Layer, found: CheckResult) -> LayerResult:
    if found.reason is not None:
        verdict = LayerVerdict.FAIL
    elif found.applicable:
        verdict = LayerVerdict.PASS
    else:
        verdict = LayerVerdict.NOT_APPLICABLE
    return LayerResult(
        layer=layer.number,
        name=layer.name,
        verdict=verdict,
        value=_rounded(found.value),
        limit=found.limit,
        headroom=_headroom(found),
        unit=found.unit or layer.unit,
        detail=found.detail,
    )


def _headroom(found: CheckResult) -> Decimal | None:
    if found.value is None or found.limit is None:
        return None
    room = found.limit - found.value
    return _rounded(-room if found.at_least else room)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else rounded(value, STEP)


LAYERS: tuple[Layer, ...] = (
    Layer(1, "drawdown", "fraction", layer_checks.drawdown),
    Layer(2, "market_anomaly", "times", layer_checks.anomaly),
    Layer(3, "data_quality", "seconds", layer_checks.data_quality),
    Layer(4, "total_exposure", "fraction", layer_checks.exposure),
    Layer(5, "position", "fraction", layer_checks.position),
    Layer(6, "stop_loss", "fraction", layer_checks.stop_loss),
    Layer(7, "frequency", "entries", layer_checks.frequency),
)
