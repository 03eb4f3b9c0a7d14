"""What a service may not do, it may not do inside a function either; it runs no code of its own."""

from collections.abc import Callable

import pytest

from services.kernel.events import topics
from services.runtime.bus.bus import Bus, ReplyError, Unavailable
from services.runtime.bus.redis.connection import LoginRefusedError
from tests.bus_builders import tick
from tests.servers import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture
def any_redis(redis_server: RedisServer) -> RedisServer:
    """The real server only: the rules of users are the real server's."""
    return redis_server


BusOf = Callable[[str], Bus]
DENIED = "NOPERM|ACL failure|The user executing the script can't"


@pytest.mark.parametrize("service", topics.SERVICES)
@pytest.mark.parametrize(
    "command",
    [
        ("XADD", "cdb:journal:{other}", "*", "e", "x"),
        ("XTRIM", "cdb:journal:{other}", "MAXLEN", "0"),
        ("HSET", "cdb:cursor:{other}", "seq", "1"),
        ("HSET", "cdb:snapshot:{other}", "cursor", "1"),
        ("XADD", "cdb:dead:{other}", "*", "e", "x"),
        ("SET", "cdb:epoch", "mine"),
        ("SET", "cdb:verified", "mine"),
        ("DEL", "cdb:counters"),
        ("PUBLISH", "{foreign_topic}", "x"),
        ("PUBLISH", "operator", '{{"type":"reset","reason":"mine"}}'),
    ],
)
def test_a_service_keeps_to_its_corner(
    open_redis: RedisServer, service: str, command: tuple[str, ...]
) -> None:
    other = next(name for name in topics.SERVICES if name != service)
    foreign = next(topic for topic in topics.TOPICS if topic not in topics.PRODUCES[service])
    arguments = [part.format(other=other, foreign_topic=foreign) for part in command]
    words = ", ".join(repr(part) for part in arguments)
    library = (
        "#!lua name=test\n"
        f"redis.register_function('test', function() return redis.call({words}) end)"
    )
    with open_redis.admin() as admin:
        admin.function_load(library, replace=True)
    connection = open_redis.address(service).connect("test")
    try:
        with pytest.raises(ReplyError, match=DENIED):
            connection.call(*arguments)
        with pytest.raises(ReplyError, match=DENIED):
            connection.call("FCALL", "test", 0)
    finally:
        connection.close()
        with open_redis.admin() as admin:
            admin.function_delete("test")


@pytest.mark.parametrize("service", topics.SERVICES)
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("KEYS", "*"),
        ("EVAL", "while true do end", "0"),
        ("EVAL_RO", "return 1", "0"),
        ("EVALSHA", "0" * 40, "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCRIPT", "FLUSH"),
        ("SCRIPT", "KILL"),
        ("FUNCTION", "LOAD", "REPLACE", "#!lua name=cdb"),
        ("FUNCTION", "DELETE", "cdb"),
        ("FUNCTION", "FLUSH"),
        ("FUNCTION", "LIST"),
        ("FUNCTION", "KILL"),
        ("CLIENT", "LIST"),
    ],
)
def test_no_service_is_an_administrator(
    open_redis: RedisServer, service: str, command: tuple[str, ...]
) -> None:
    connection = open_redis.address(service).connect("test")
    try:
        with pytest.raises(ReplyError, match="NOPERM"):
            connection.call(*command)
    finally:
        connection.close()


@pytest.mark.parametrize("user", [*topics.SERVICES, "operator", "default"])
def test_everybody_may_listen_to_everything(open_redis: RedisServer, user: str) -> None:
    password = open_redis.passwords["operator" if user == "default" else user]
    connection = open_redis.address("operator").as_user(user, password).connect("test")
    connection.call("SUBSCRIBE", topics.TOPICS[0])
    connection.close()


def test_the_operator_publishes_and_reads_and_writes_nothing(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    bus_of("cdb_ws").publish([tick(0)])
    operator = open_redis.address("operator").connect("test")
    try:
        assert operator.call("PUBLISH", "signals", "{}") == 0
        assert operator.call("PUBLISH", "operator", "{}") == 0
        assert operator.call("XLEN", "cdb:journal:cdb_ws") == 1
        assert operator.call("HGETALL", "cdb:counters")
        for command in (
            ("XADD", "cdb:journal:cdb_ws", "*", "e", "x"),
            ("HSET", "cdb:counters", "seq", "9"),
            ("SET", "anything", "1"),
            ("EVAL", "return 1", "0"),
            ("FCALL", "cdb_claim", "0", "cdb_ws"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "WHOAMI"),
            ("PUBLISH", "cdb:turn", "1"),
        ):
            with pytest.raises(ReplyError, match="NOPERM"):
                operator.call(*command)
    finally:
        operator.close()


def test_a_wrong_password_is_an_error_at_once_and_may_be_tried_again(
    open_redis: RedisServer,
) -> None:
    with pytest.raises(LoginRefusedError, match="WRONGPASS") as refused:
        open_redis.address("cdb_ws").as_user("cdb_ws", "wrong").connect("test")
    # A server that was just started knows no user yet: who waits for the bus goes on waiting.
    assert isinstance(refused.value, Unavailable)
    assert isinstance(refused.value, ReplyError)


def test_the_operator_reads_how_far_the_bus_has_come(bus_of: BusOf) -> None:
    bus_of("cdb_ws").publish([tick(0)])
    assert bus_of("operator").heads().seq == 1
