import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.kernel.events import CommandAnswered, Halt, topics
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from services.runtime.operator.channel import OperatorChannel
from services.runtime.operator.message import operator_message
from tests.bus_builders import RUN, clock, run_ended, run_started, tick
from tests.deadline import wait_until
from tests.integration.services.conftest import StartService, open_bus
from tests.servers import RedisServer

pytestmark = pytest.mark.integration

BusOf = Callable[[str], Bus]


def start_run(bus_of: BusOf) -> Bus:
    """Publish run_started and a first clock; returns the market's bus."""
    bus_of(topics.PAPER_RUNNER).publish([run_started(source="external", speed="1")])
    market = bus_of(topics.WS)
    market.publish([clock(1000)])
    return market


@pytest.mark.parametrize("service", [topics.CORE, topics.RISK])
def test_a_service_is_red_until_a_run_is_on_and_green_while_the_clock_goes(
    service: str, start_service: StartService, bus_of: BusOf
):
    process = start_service(service)
    process.wait_health(503, "no run has started yet")

    start_run(bus_of)

    answer = process.wait_health(200)
    assert answer.body["status"] == "ok"
    assert answer.body["service"] == service
    assert answer.body["measured"]["run_id"] == RUN
    assert process.metric("cdb_healthy") == 1.0


@pytest.mark.slow
def test_the_clock_that_stops_turns_health_red_but_not_after_the_end_of_the_run(
    start_service: StartService, bus_of: BusOf
):
    process = start_service(topics.CORE)
    start_run(bus_of)
    process.wait_health(200)

    process.wait_health(503, "no clock for", seconds=15.0)

    bus_of(topics.PAPER_RUNNER).publish([run_ended()])
    process.wait_health(200)


def test_status_shows_state_and_settings_without_secrets(
    start_service: StartService, bus_of: BusOf, open_redis: RedisServer
):
    process = start_service(topics.RISK, MAX_LEVERAGE="2")
    start_run(bus_of)
    process.wait_health(200)

    status = wait_until(
        lambda: (body := process.status()).get("stage", {}).get("account") and body, "a status"
    )

    assert status["stage"]["account"] == "ACTIVE"
    assert status["settings"]["MAX_LEVERAGE"] == "2"
    shown = json.dumps(status) + process.tail() + json.dumps(process.health().body)
    assert open_redis.passwords[topics.RISK] not in shown


def test_a_redis_that_is_away_turns_health_red_and_comes_back(
    start_service: StartService, bus_of: BusOf, open_redis: RedisServer
):
    process = start_service(topics.CORE)
    start_run(bus_of)
    process.wait_health(200)

    open_redis.stop()
    process.wait_health(503, "Redis at", seconds=5.0)
    assert process.metric("cdb_bus_connected") == 0.0

    open_redis.start()
    open_bus(open_redis)
    bus_of(topics.WS).publish([clock(2000)])
    process.wait_health(200)
    assert process.terminate() == 0


def test_a_service_waits_for_a_redis_that_is_not_there_yet_and_says_so(
    start_service: StartService, redis_server: RedisServer, bus_of: BusOf
):
    redis_server.stop()
    process = start_service(topics.RISK)
    process.wait_health(503, "does not answer")

    def waiting() -> int:
        return sum(line["event"] == "waiting" for line in process.log_lines())

    wait_until(waiting, "a line in the log says what is waited for")
    assert waiting() <= 3

    redis_server.start()
    process.wait_health(503, "waiting for cdb_db_writer")
    open_bus(redis_server)
    start_run(bus_of)

    process.wait_health(200)


def test_an_operator_halts_through_risk(start_service: StartService, bus_of: BusOf):
    process = start_service(topics.RISK)
    start_run(bus_of)
    process.wait_health(200)

    operator = bus_of("operator")
    operator.post(topics.OPERATOR, '{"command": "halt", "reason": "drill"}')

    wait_until(lambda: process.status()["stage"].get("account") == "HALTED", "halted")
    published = [
        event
        for event in journal.read(operator, {topics.CONTROL}, 0, operator.head())
        if event.producer == topics.RISK
    ]
    assert [type(event).__name__ for event in published][:1] == ["Halt"]
    assert published[0].external
    assert process.metric('cdb_trading_state{state="HALTED"}') == 1.0


def test_a_command_is_published_once_and_answered_as_often_as_it_is_posted(
    start_service: StartService, bus_of: BusOf
):
    """S10: a command without an answer is posted again, also behind a restart."""
    process = start_service(topics.RISK)
    start_run(bus_of)
    process.wait_health(200)
    operator = bus_of("operator")
    command = '{"type": "halt", "reason": "drill", "command_id": "c-1"}'

    def answers() -> list[CommandAnswered]:
        every = journal.read(operator, {topics.RISK_DECISIONS}, 0, operator.head())
        return [event for event in every if isinstance(event, CommandAnswered)]

    for _ in range(3):
        operator.post(topics.OPERATOR, command)
    wait_until(lambda: len(answers()) == 3, "three answers")
    assert process.terminate() == 0
    process = start_service(topics.RISK)
    process.wait_health(200)
    operator.post(topics.OPERATOR, command)
    wait_until(lambda: len(answers()) == 4, "an answer behind the restart")

    assert [answer.repeated for answer in answers()] == [False, True, True, True]
    assert all(answer.changes == answers()[0].changes for answer in answers())
    published = list(journal.read(operator, {topics.CONTROL}, 0, operator.head()))
    assert sum(isinstance(event, Halt) for event in published) == 1


def test_claire_posts_a_command_until_risk_is_there(
    start_service: StartService, bus_of: BusOf, open_redis: RedisServer
):
    # Given a command that is posted while risk is away, as `claire halt` posts it
    start_run(bus_of)
    message = operator_message("halt", "drill", None, "c-1")
    with (
        OperatorChannel(open_redis.address("operator")) as channel,
        ThreadPoolExecutor(1) as threads,
    ):
        answering = threads.submit(channel.post, message, "c-1")
        # When risk comes
        process = start_service(topics.RISK)
        answer = answering.result(timeout=30)
    # Then it is answered
    assert (answer.command, [one.state for one in answer.changes]) == ("halt", ["HALTED"])
    wait_until(lambda: process.status()["stage"].get("account") == "HALTED", "halted")


def test_a_command_on_control_is_a_dead_letter(start_service: StartService, bus_of: BusOf):
    """S8: on `control` every service may publish."""
    process = start_service(topics.RISK)
    start_run(bus_of)
    process.wait_health(200)
    bus_of("operator").post(topics.CONTROL, '{"type": "halt", "reason": "not here"}')
    wait_until(
        lambda: process.metric('cdb_dead_letters_total{reason="NOT_FROM_OUTSIDE"}') == 1.0,
        "counted",
    )
    assert process.status()["stage"].get("account") == "ACTIVE"


def test_what_is_no_command_becomes_a_dead_letter_and_the_service_lives(
    start_service: StartService, bus_of: BusOf
):
    process = start_service(topics.RISK)
    start_run(bus_of)
    process.wait_health(200)

    bus_of("operator").post(topics.OPERATOR, "{not json")

    wait_until(
        lambda: process.metric('cdb_dead_letters_total{reason="NOT_JSON"}') == 1.0, "counted"
    )
    process.wait_health(200)


def test_sigterm_saves_a_snapshot_and_a_successor_goes_on(
    start_service: StartService, bus_of: BusOf
):
    process = start_service(topics.CORE)
    market = start_run(bus_of)
    market.publish([tick(number) for number in range(2000, 2050)])
    head = market.head()
    process.wait_health(200)
    wait_until(lambda: process.status()["cursor"] >= head, "all handled")

    assert process.terminate() == 0

    assert int(market.run(("HGET", f"cdb:snapshot:{topics.CORE}", "cursor"))[0]) == head
    successor = start_service(topics.CORE)
    wait_until(
        lambda: successor.wait_answering() and successor.status()["cursor"] >= head, "resumed"
    )
    assert successor.status()["run_id"] == RUN


def test_a_second_instance_takes_over_and_the_first_one_ends_with_one_line(
    start_service: StartService, bus_of: BusOf
):
    first = start_service(topics.CORE)
    market = start_run(bus_of)
    first.wait_health(200)

    second = start_service(topics.CORE)
    second.wait_answering()
    second.wait_health(200)
    market.publish([clock(3000)])

    assert first.wait_exit() == 1
    assert "another instance runs" in first.tail().splitlines()[-1]
    second.wait_health(200)
