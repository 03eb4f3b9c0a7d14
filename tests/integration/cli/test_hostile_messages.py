"""Nothing that is posted restarts a service, or makes a record that cannot be kept and repeated."""

import json
import signal
import time

import pytest
import redis

from services.kernel.events import topics
from tests import hostile
from tests.claire_command import Claire
from tests.deadline import wait_until
from tests.integration.cli.test_run_paper import wait_for_session

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
DEADLINE_S = 120.0


def client_of(claire: Claire) -> "redis.Redis":
    session = claire.home.session()
    assert session is not None
    password = json.loads((claire.home.folder / "passwords.json").read_text("utf-8"))[
        "REDIS_PASSWORD"
    ]
    return redis.Redis(
        host="127.0.0.1", port=session.redis_port, username="operator", password=password
    )


def last_id(client: "redis.Redis") -> bytes:
    found: bytes = client.xinfo_stream("cdb:journal:cdb_ws")["last-generated-id"]
    return found


def posted(client: "redis.Redis", count: int) -> None:
    """Post hostile messages, with a sound market in between."""
    for number, (channel, body) in enumerate(
        hostile.messages(7, count, int(time.time() * 1000)), start=1
    ):
        client.publish(channel, body)
        if number % 100 == 0:
            sound = {"symbol": "BTC_USDT", "price": 60_000 + number % 700, "volume": 1}
            client.publish(topics.MARKET_DATA, json.dumps(sound))
            time.sleep(0.02)


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.local_only)])
def test_services_and_record_outlive_whatever_is_posted(claire: Claire, count: int) -> None:
    # Given a run on a market by hand
    process = claire.start("run-paper", "--fresh", "--source", "external", "--json")
    wait_for_session(claire.home)
    with client_of(claire) as client:
        wait_until(lambda: client.xlen("cdb:journal:cdb_ws"), "a clock comes", DEADLINE_S)
        # When hostile messages come on every channel
        posted(client, count)
        # Then everything goes on
        before = last_id(client)
        wait_until(lambda: last_id(client) != before, "the clock goes on", DEADLINE_S)
        letters = {
            entry[b"reason"].decode()
            for service in topics.SERVICES
            for _, entry in client.xrange(f"cdb:dead:{service}")
        }
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert "was started again" not in err
    assert "UNSTORABLE" not in letters
    assert {"NOT_JSON", "TOO_DEEP", "MALFORMED", "NOT_FROM_OUTSIDE"} <= letters
    result = json.loads(out.splitlines()[-1])
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert claire.run("validate").returncode == 0, claire.run("validate").stdout
    assert claire.run("verify").returncode == 0, claire.run("verify").stdout
