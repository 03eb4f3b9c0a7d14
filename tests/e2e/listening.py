"""What goes over the bus, as anybody with the operator's password sees it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.client import PubSub

from tests.deadline import DEADLINE_S, Deadline
from tests.e2e.stack import Stack

Message = dict[str, Any]


class Listener:
    """Collects the published events of some topics, in their order, from its start on."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription
        self.received: list[Message] = []

    def drain(self, seconds: float = 0.0) -> None:
        """Take what is there; wait up to `seconds` for the first message."""
        deadline = Deadline(seconds)
        while True:
            message = self._subscription.get_message(timeout=deadline.left_s)
            if message is None and not deadline.left_s:
                return
            if message is not None and message["type"] == "message":
                event = json.loads(message["data"])
                # Without seq it was posted from outside, by this test or another.
                if "seq" in event:
                    self.received.append({"topic": message["channel"], **event})

    def wait_for(
        self, what: str, matches: Callable[[Message], bool], seconds: float = DEADLINE_S
    ) -> Message:
        """The first event since the start that matches; an assertion error if none comes."""
        deadline = Deadline(seconds)
        seen = 0
        while True:
            for event in self.received[seen:]:
                if matches(event):
                    return event
            seen = len(self.received)
            deadline.require(lambda: f"{what}; last received: {self.last()}")
            self.drain(min(deadline.left_s, 0.5))

    def last(self) -> list[Message]:
        """The last of what was heard, the market's data left out."""
        return [event for event in self.received if event["topic"] != "market_data"][-8:]

    def of(self, topic: str) -> list[Message]:
        """What was heard on one topic."""
        return [event for event in self.received if event["topic"] == topic]


@contextmanager
def listening(stack: Stack, *topics: str) -> Iterator[Listener]:
    """Subscribe as the operator."""
    with stack.bus() as client, client.pubsub() as subscription:
        subscription.subscribe(*topics)
        listener = Listener(subscription)
        listener.drain(0.5)
        yield listener
