"""The operator's commands: each acted on once, and answered as often as it comes."""

from typing import Final

from services.kernel.emitter import Emitter
from services.kernel.events import (
    CommandAnswered,
    CommandRepeated,
    Halt,
    Pause,
    Reset,
    Resume,
    StateChange,
    TradingStateChanged,
)
from services.kernel.risk.state.command_outcome import CommandOutcome
from services.kernel.risk.trading_state.control import TradingControl

MOST_COMMANDS: Final = 1_000
"""Commands whose outcome is kept."""

Command = Halt | Reset | Pause | Resume


class CommandDesk:
    """Acts on commands and answers them.

    Args:
        outcomes: Of the last commands, by ``command_id``, the oldest first; kept across runs.
        trading: What the commands change.
        emitter: Takes the answers.
    """

    def __init__(
        self, outcomes: dict[str, CommandOutcome], trading: TradingControl, emitter: Emitter
    ) -> None:
        self._outcomes = outcomes
        self._trading = trading
        self._emitter = emitter

    def on_command(self, event: Command) -> None:
        """Do what a command says, and answer it; one that was done before is only answered."""
        if event.command_id is not None and event.command_id in self._outcomes:
            self._answer(event.command_id, repeated=True)
            return
        match event:
            case Halt():
                self._trading.on_halt(event)
            case Reset():
                self._trading.on_reset(event)
            case Pause():
                self._trading.on_pause(event)
            case Resume():
                self._trading.on_resume(event)
        if event.command_id is not None:
            self._keep(event.command_id, str(event.__struct_config__.tag))
            self._answer(event.command_id, repeated=False)

    def on_repeated(self, event: CommandRepeated) -> None:
        """Answer a command that came again with its first outcome."""
        if event.command_id in self._outcomes:
            self._answer(event.command_id, repeated=True)

    def _keep(self, command_id: str, command: str) -> None:
        changes = tuple(
            StateChange(
                symbol=change.symbol,
                previous=change.previous,
                state=change.state,
                reason=change.reason,
                message=change.message,
                values=change.values,
            )
            for change in self._emitter.outputs()
            if isinstance(change, TradingStateChanged)
        )
        self._outcomes[command_id] = CommandOutcome(command=command, changes=changes)
        if len(self._outcomes) > MOST_COMMANDS:
            del self._outcomes[next(iter(self._outcomes))]

    def _answer(self, command_id: str, *, repeated: bool) -> None:
        outcome = self._outcomes[command_id]
        self._emitter.emit(
            CommandAnswered,
            command_id=command_id,
            command=outcome.command,
            changes=outcome.changes,
            repeated=repeated,
        )
