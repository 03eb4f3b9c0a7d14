"""The operator's way to risk: post a command on `control`, and wait for its published answer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeGuard

import msgspec
import redis

from services.kernel.events import AnyEvent, Event, TradingStateChanged, topics
from services.kernel.events.codec import decode
from services.runtime.bus.redis.address import RedisAddress

ANSWER_SECONDS = 15.0
_POLL_SECONDS = 0.05


class NoAnswerError(RuntimeError):
    """The bus or risk did not answer in time; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What risk published.

    Attributes:
        command: The command as an event of the total order.
        changes: The trading states that it changed; empty when it changed nothing.
    """

    command: Event
    changes: tuple[TradingStateChanged, ...]


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

    def post(self, command: str, message: bytes, reason: str) -> Answer:
        """Publish a command and wait until risk has published it, and what it changed.

        Args:
            command: Its type, for instance ``halt``.
            message: The unsequenced JSON.
            reason: As in the message; tells our command from another's.

        Raises:
            NoAnswerError: Risk did not answer in time.
        """
        try:
            self._client.publish(topics.CONTROL, message)
            return self._await_answer(command, reason)
        except redis.RedisError as error:
            raise NoAnswerError(f"the bus at {self._address} went away ({error})") from None

    def _await_answer(self, command: str, reason: str) -> Answer:
        published: Event | None = None
        changes: list[TradingStateChanged] = []
        deadline = time.monotonic() + ANSWER_SECONDS
        for event in self._events_until(deadline):
            if published is None:
                if _answers(event, command, reason):
                    published = event
            elif _changes_state(event, published):
                changes.append(event)
            if published is not None and event is None and self._risk_has_handled(published.seq):
                return Answer(published, tuple(changes))
        if published is None:
            raise NoAnswerError(
                f"cdb_risk did not answer the {command} within {ANSWER_SECONDS:g} s; see"
                " `claire status`"
            )
        raise NoAnswerError(
            f"the {command} is on the record (event {published.seq}), but cdb_risk has not acted on"
            f" it within {ANSWER_SECONDS:g} s; see `claire status`"
        )

    def _events_until(self, deadline: float) -> Iterator[AnyEvent | None]:
        """Published events as they arrive; None whenever nothing waits."""
        while time.monotonic() < deadline:
            message = self._subscription.get_message(timeout=_POLL_SECONDS)
            if message is None:
                yield None
                continue
            try:
                event = decode(message["data"])
            except msgspec.DecodeError:
                continue  # ours and others' unsequenced messages
            if event.seq:
                yield event

    def _risk_has_handled(self, seq: int) -> bool:
        cursor = self._client.hget(f"cdb:cursor:{topics.RISK}", "seq")
        return cursor is not None and int(cursor) >= seq


def _changes_state(event: AnyEvent | None, command: Event) -> TypeGuard[TradingStateChanged]:
    """Whether an event is a change that the command made; risk also answers "still as it was"."""
    return (
        isinstance(event, TradingStateChanged)
        and event.causation_id == command.event_id
        and event.previous is not event.state
    )


def _answers(event: AnyEvent | None, command: str, reason: str) -> bool:
    return (
        event is not None
        and event.producer == topics.RISK
        and event.TOPIC == topics.CONTROL
        and event.__struct_config__.tag == command
        and getattr(event, "reason", None) == reason
    )
