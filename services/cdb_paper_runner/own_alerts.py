"""Alerts of the orchestrator's own, about what no stage can see."""

from collections.abc import Mapping

from services.kernel.events import SCHEMA_VERSION, Alert, AlertLevel, AlertPhase, topics
from services.kernel.events.ids import make_id
from services.runtime.consumer.stage_loop import StageLoop


def publish_alert(
    loop: StageLoop,
    code: str,
    level: AlertLevel,
    phase: AlertPhase,
    message: str,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Publish an alert at the loop's clock; False while no run has a clock to put it at."""
    run_id, clock_ms = loop.context.run_id, loop.context.clock_ms
    if run_id is None or clock_ms is None:
        return False
    instance = loop.bus.own_claim().instance
    alert = Alert(
        event_id=make_id(run_id, topics.PAPER_RUNNER, code, instance, clock_ms, phase),
        run_id=run_id,
        producer=topics.PAPER_RUNNER,
        schema_version=SCHEMA_VERSION,
        timestamp=clock_ms,
        causation_id=None,
        correlation_id=None,
        level=level,
        code=code,
        message=message,
        symbol=None,
        layer=None,
        phase=phase,
        count=1,
        context=dict(context or {}),
    )
    loop.publish([alert], shell_id=alert.event_id)
    return True
