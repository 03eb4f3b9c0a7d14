"""Events as they are published: tail."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import msgspec
import redis

from services.cli.failure import Failure
from services.cli.target import Target, Where, find_target, on_option
from services.cli.terminal import say
from services.explain.event_line import describe
from services.explain.printable import one_line, printable_json
from services.kernel.events import topics
from services.kernel.events.codec import decode

DEFAULT_TOPICS = (
    topics.SIGNALS,
    topics.RISK_DECISIONS,
    topics.ORDERS,
    topics.ORDER_RESULTS,
    topics.ALERTS,
    topics.CONTROL,
)


@click.command(epilog="Examples: claire tail · claire tail signals orders · claire tail --json")
@click.argument("topic", nargs=-1, type=click.Choice(topics.TOPICS))
@on_option
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--json", "as_json", is_flag=True, help="Each event as the JSON it is on the bus.")
def tail(topic: tuple[str, ...], where: Where | None, count: int | None, as_json: bool) -> None:
    """Show events as they are published; without TOPIC all but ticks, clock and snapshots."""
    target = find_target(where)
    if not as_json:
        say(f"listening to {target.label}; Ctrl-C ends", err=True)
    shown = 0
    try:
        for channel, body in _messages(target, topic or DEFAULT_TOPICS):
            say(printable_json(body) if as_json else _line(channel, body))
            shown += 1
            if shown == count:
                return
    except KeyboardInterrupt:
        return
    except redis.RedisError as error:
        raise Failure(f"the bus of {target.label} does not answer: {error}") from None


def _messages(target: Target, chosen: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Channel and body of what is published from now on."""
    client = redis.Redis(
        host=target.redis.host,
        port=target.redis.port,
        username=target.redis.username,
        password=target.redis.password,
        socket_connect_timeout=3.0,
    )
    with client, client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
        subscription.subscribe(*chosen)
        while True:
            message = subscription.get_message(timeout=1.0)
            if message is not None:
                yield message["channel"].decode(), message["data"]


def _line(channel: str, body: bytes) -> str:
    try:
        event = decode(body)
    except msgspec.DecodeError:
        text = one_line(body[:200].decode(errors="replace"))
        return f"{_now()} {channel:<19} (from outside) {text}"
    at = datetime.fromtimestamp(event.timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return f"{at} {channel:<19} {event.seq:>9} {describe(event)}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) + ".   "
