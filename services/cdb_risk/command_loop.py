"""The loop of cdb_risk: an operator's command is published once, however often it is posted."""

from collections.abc import Sequence

from services.kernel.events import CommandRepeated, Event, Halt, Pause, Reset, Resume
from services.kernel.events.ids import make_id
from services.kernel.risk.stage import RiskStage
from services.kernel.risk.state.recent_ids import RecentIds
from services.kernel.risk.trading_state.commands import MOST_COMMANDS
from services.runtime.bus.subscription import ExternalMessage, Subscription
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.consumer.stage_loop import StageLoop


class CommandLoop(StageLoop):
    """Publishes a command that comes again as ``command_repeated``.

    The stage knows every command that it has handled. Those that were published and have not come
    back yet are known here; behind a restart the stage has handled them before anything is taken.
    """

    stage: RiskStage
    _posted: RecentIds

    def begin(self) -> Subscription:
        """As ``StageLoop.begin``."""
        self._posted = RecentIds()
        return super().begin()

    def _normalise(self, message: ExternalMessage, context: LoopContext) -> Sequence[Event]:
        return [self._once(event) for event in super()._normalise(message, context)]

    def _once(self, event: Event) -> Event:
        if not isinstance(event, Halt | Reset | Pause | Resume) or event.command_id is None:
            return event
        name = event.command_id
        known = self.stage.knows_command(name) or not self._posted.add(name, MOST_COMMANDS)
        return self._repeated(event, name) if known else event

    def _repeated(self, event: Event, name: str) -> CommandRepeated:
        self.counters["commands_repeated"] += 1
        claim, number = self.bus.own_claim(), self.counters["commands_repeated"]
        unique = f"{claim.epoch}:{claim.instance}:{number}"
        return CommandRepeated(
            event_id=make_id(event.run_id, event.producer, "repeated", name, unique),
            run_id=event.run_id,
            producer=event.producer,
            schema_version=event.schema_version,
            timestamp=event.timestamp,
            causation_id=None,
            correlation_id=event.event_id,
            external=True,
            command_id=name,
        )
