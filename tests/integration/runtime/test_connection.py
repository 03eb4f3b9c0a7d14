"""The lean connection: what is larger than any buffer, and what is worth waiting for."""

import socket
import threading

import pytest

from services.runtime.bus.redis import connection as lean
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import ConnectionLost, pack
from tests.servers import RedisServer

pytestmark = pytest.mark.integration


def test_what_no_buffer_holds_goes_there_and_back(open_redis: RedisServer) -> None:
    connection = open_redis.address("operator").connect("test")
    large = b"x" * (16 << 20)

    assert connection.call("ECHO", large) == large
    assert connection.call("PING") == b"PONG"
    connection.close()


def test_who_is_in_no_hurry_takes_together_what_comes_apart(open_redis: RedisServer) -> None:
    # Given a subscriber that has just received something
    operator = open_redis.address("operator").connect("test")
    subscriber = open_redis.address("operator").connect("test")
    subscriber.call("SUBSCRIBE", "alerts")
    operator.call("PUBLISH", "alerts", "0")
    assert [reply[2] for reply in subscriber.receive(5.0, gather_s=1.0)] == [b"0"]
    # When two messages come one after the other, within its time
    operator.call("PUBLISH", "alerts", "1")
    later = threading.Timer(0.1, lambda: operator.call("PUBLISH", "alerts", "2"))
    later.start()
    # Then it wakes up once for both
    assert [reply[2] for reply in subscriber.receive(5.0, gather_s=1.0)] == [b"1", b"2"]
    later.join()
    for connection in (operator, subscriber):
        connection.close()


def test_a_burst_is_parsed_whole_and_in_order(open_redis: RedisServer) -> None:
    operator = open_redis.address("operator").connect("test")
    subscriber = open_redis.address("operator").connect("test")
    subscriber.call("SUBSCRIBE", "alerts")
    sent = [b"%d " % number + b"x" * (number % 700) for number in range(3000)]

    operator.pipeline([pack("PUBLISH", "alerts", body) for body in sent])

    received: list[bytes] = []
    while len(received) < len(sent):
        replies = subscriber.receive(5.0)
        assert replies, f"only {len(received)} came"
        received += [reply[2] for reply in replies]
    assert received == sent
    for connection in (operator, subscriber):
        connection.close()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "REPLY_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = RedisAddress("127.0.0.1", silent.getsockname()[1])
        with pytest.raises(ConnectionLost, match=r"did not answer within 0\.2 s"):
            address.connect("test")
