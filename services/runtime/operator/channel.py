"""The operator's way to risk: post a command until its answer is published."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec
import redis

from services.kernel.events import (
    AnyEvent,
    CommandAnswered,
    Halt,
    Pause,
    Reset,
    Resume,
    RiskDecision,
    StateChange,
    topics,
)
from services.kernel.events.codec import decode
from services.runtime import host
from services.runtime.bus.redis.address import RedisAddress

ANSWER_SECONDS = 15.0
REPEAT_SECONDS = 1.0
_POLL_SECONDS = 0.05


class NoAnswerError(RuntimeError):
    """The bus or risk did not answer in time; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What risk published.

    Attributes:
        command: ``halt``, ``reset``, ``pause`` or ``resume``.
        seq: Of the command in the total order; None where it was published before this channel.
        states: The trading states as the command found and left them.
    """

    command: str
    seq: int | None
    states: tuple[StateChange, ...]

    @property
    def changes(self) -> tuple[StateChange, ...]:
        """The trading states that it changed; empty when it changed nothing."""
        return tuple(one for one in self.states if one.previous is not one.state)


class OperatorChannel:
    """A subscription of the user `operator`; a context manager.

    Args:
        address: The bus, as the operator.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._client = redis.Redis(
            host=address.host,
            port=address.port,
            username=address.username,
            password=address.password,
            socket_connect_timeout=3.0,
            socket_timeout=5.0,
            client_name="claire",
        )
        self._subscription = self._client.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )

    def __enter__(self) -> Self:
        try:
            self._subscription.subscribe(topics.CONTROL, topics.RISK_DECISIONS)
            self._subscription.get_message(timeout=1.0)
        except redis.AuthenticationError:
            self.close()
            raise NoAnswerError(
                f"the bus at {self._address} refuses the operator's password; is REDIS_PASSWORD"
                " in .env that of the running stack?"
            ) from None
        except redis.RedisError as error:
            self.close()
            raise NoAnswerError(
                f"the bus at {self._address} does not answer ({error}); is the system running?"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; harmless when closed already."""
        self._subscription.close()
        self._client.close()

    def post(self, message: bytes, command_id: str) -> Answer:
        """Post a command until risk has answered it; risk acts on it once.

        Pub/Sub reaches only who is connected: while ``cdb_risk`` is away a message is gone.

        Args:
            message: The JSON of the command.
            command_id: As in the message.

        Raises:
            NoAnswerError: Risk did not answer in time.
        """
        try:
            return self._answer_to(message, command_id)
        except redis.RedisError as error:
            raise NoAnswerError(f"the bus at {self._address} went away ({error})") from None

    def post_signal(self, message: bytes, signal_id: str) -> RiskDecision:
        """Post a signal once, and wait for risk's decision about it.

        A signal is not repeated: a second one with its id is refused as a duplicate.

        Args:
            message: The JSON of the signal, with its ``signal_id``.
            signal_id: As in the message.

        Raises:
            NoAnswerError: No decision in time; ``cdb_core`` takes signals from outside.
        """
        try:
            if not self._client.publish(topics.SIGNALS, message):
                raise NoAnswerError("nobody listens on `signals`: cdb_core and cdb_risk are away")
            deadline = host.monotonic() + ANSWER_SECONDS
            while host.monotonic() < deadline:
                event = self._next_event()
                if isinstance(event, RiskDecision) and event.signal_id == signal_id:
                    return event
        except redis.RedisError as error:
            raise NoAnswerError(f"the bus at {self._address} went away ({error})") from None
        raise NoAnswerError(
            f"no decision about the signal within {ANSWER_SECONDS:g} s: cdb_core takes signals from"
            " outside and cdb_risk decides; see `claire status`"
        )

    def _answer_to(self, message: bytes, command_id: str) -> Answer:
        seq: int | None = None
        deadline = host.monotonic() + ANSWER_SECONDS
        post_at = 0.0
        while (now := host.monotonic()) < deadline:
            if now >= post_at:
                self._client.publish(topics.OPERATOR, message)
                post_at = now + REPEAT_SECONDS
            event = self._next_event()
            if event is None or event.producer != topics.RISK:
                continue
            if isinstance(event, CommandAnswered) and event.command_id == command_id:
                return Answer(event.command, seq, event.changes)
            if isinstance(event, Halt | Reset | Pause | Resume) and event.command_id == command_id:
                seq = event.seq
        if seq is not None:
            raise NoAnswerError(
                f"the command is on the record (event {seq}), but cdb_risk has not acted on it"
                f" within {ANSWER_SECONDS:g} s; see `claire status`"
            )
        raise NoAnswerError(
            f"cdb_risk did not answer within {ANSWER_SECONDS:g} s; see `claire status`"
        )

    def _next_event(self) -> AnyEvent | None:
        """The next published event; None where none comes soon."""
        message = self._subscription.get_message(timeout=_POLL_SECONDS)
        if message is None:
            return None
        try:
            event = decode(message["data"])
        except msgspec.DecodeError:
            return None  # no event of the bus
        return event if event.seq else None
