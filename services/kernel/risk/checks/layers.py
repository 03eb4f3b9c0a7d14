"""The seven layers as a table, and how a candidate is judged by all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from services.kernel.events import LayerResult, LayerVerdict
from services.kernel.instruments.rounding import rounded
from services.kernel.risk.checks import measures
from services.kernel.risk.checks.candidate import EntryContext, Finding
from services.kernel.risk.reasons import Reason

STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the table."""

    number: int
    name: str
    unit: str
    measure: Callable[[EntryContext], Finding]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All layers' results; ``failures`` from the lowest layer up, each with its reason."""

    results: tuple[LayerResult, ...]
    failures: tuple[tuple[int, Reason], ...]

    @property
    def reason(self) -> Reason | None:
        """Of the lowest failing layer; None when all pass."""
        return self.failures[0][1] if self.failures else None


def judge(context: EntryContext) -> Judgement:
    """Evaluate every layer; none is skipped when an earlier one fails."""
    results: list[LayerResult] = []
    failures: list[tuple[int, Reason]] = []
    for layer in LAYERS:
        finding = layer.measure(context)
        if finding.reason is not None:
            failures.append((layer.number, finding.reason))
        results.append(_result(layer, finding))
    return Judgement(tuple(results), tuple(failures))


def judge_exit(context: EntryContext) -> tuple[LayerResult, ...]:
    """The layers' figures for an exit, which passes all of them."""
    return tuple(
        LayerResult(
            layer=layer.number,
            name=layer.name,
            verdict=LayerVerdict.PASS,
            value=_rounded(finding.value),
            limit=finding.limit,
            headroom=_headroom(finding),
            unit=finding.unit or layer.unit,
            detail=f"exits pass every layer; {finding.detail}",
        )
        for layer in LAYERS
        for finding in (layer.measure(context),)
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


def _result(layer: Layer, finding: Finding) -> LayerResult:
    if finding.reason is not None:
        verdict = LayerVerdict.FAIL
    elif finding.applicable:
        verdict = LayerVerdict.PASS
    else:
        verdict = LayerVerdict.NOT_APPLICABLE
    return LayerResult(
        layer=layer.number,
        name=layer.name,
        verdict=verdict,
        value=_rounded(finding.value),
        limit=finding.limit,
        headroom=_headroom(finding),
        unit=finding.unit or layer.unit,
        detail=finding.detail,
    )


def _headroom(finding: Finding) -> Decimal | None:
    if finding.value is None or finding.limit is None:
        return None
    room = finding.limit - finding.value
    return _rounded(-room if finding.at_least else room)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else rounded(value, STEP)


LAYERS: tuple[Layer, ...] = (
    Layer(1, "drawdown", "fraction", measures.drawdown),
    Layer(2, "market_anomaly", "times", measures.anomaly),
    Layer(3, "data_quality", "seconds", measures.data_quality),
    Layer(4, "total_exposure", "fraction", measures.exposure),
    Layer(5, "position", "fraction", measures.position),
    Layer(6, "stop_loss", "fraction", measures.stop_loss),
    Layer(7, "frequency", "entries", measures.frequency),
)
