"""Asking MEXC's REST: at the host that answers, at half the documented pace, less on complaint."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from services.lab.soak import virtual_time
from services.venues.mexc.limits import DOCUMENTED, WINDOW_S, Endpoint
from services.venues.mexc.network import Answer, Connection
from services.venues.mexc.rest import MexcRest, VenueAwayError, hosts_for
from services.venues.mexc.rest_messages import RestError

pytestmark = pytest.mark.unit


def ok(data: object) -> Answer:
    return Answer(200, json.dumps({"success": True, "code": 0, "data": data}).encode())


def refusal(code: int) -> Answer:
    body = {"success": False, "code": code, "message": "no"}
    return Answer(200, json.dumps(body).encode())


class Hosts:
    """A network in which some hosts give an answer of their own, and all others that of the venue.

    Args:
        answers: By the beginning of the address: what is answered, or raised.
    """

    def __init__(self, answers: dict[str, Answer | Exception] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.asked_at: list[float] = []

    async def connect(self, url: str) -> Connection:
        raise NotImplementedError(url)

    async def get(self, url: str) -> Answer:
        self.asked.append(url)
        self.asked_at.append(asyncio.get_running_loop().time())
        for host, answer in self.answers.items():
            if url.startswith(host):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return ok({"collectCycle": 4})

    def now_ms(self) -> int:
        return 0


def asking(
    hosts: Hosts, ask: Callable[[MexcRest], Coroutine[Any, Any, Any]]
) -> tuple[MexcRest, Any]:
    """Ask two hosts in virtual time; gives back who asked, and the answer."""

    async def play() -> tuple[MexcRest, Any]:
        rest = MexcRest(hosts, ["http://a", "http://b"], Random(1))  # noqa: S311 - jitter only
        return rest, await ask(rest)

    return virtual_time.run(play())


def most_at_once(hosts: Hosts) -> int:
    """The most requests in any two seconds."""
    times = hosts.asked_at
    return max(sum(begin <= at < begin + WINDOW_S - 1e-6 for at in times) for begin in times)


async def twice(rest: MexcRest) -> list[int]:
    return [await rest.funding_hours("X_USDT"), await rest.funding_hours("X_USDT")]


def test_the_other_host_is_asked_and_preferred_from_then_on() -> None:
    hosts = Hosts({"http://a": OSError("refused")})
    rest, answers = asking(hosts, twice)
    assert answers == [4, 4]
    assert [url[:8] for url in hosts.asked] == ["http://a", "http://b", "http://b"]
    assert rest.failures == {Endpoint.FUNDING_RATE: 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OSError("refused"), "http://a: refused"),
        (TimeoutError(), "http://a: TimeoutError"),
        (Answer(503, b""), "http://a: HTTP 503"),
        (Answer(200, b"<html>"), "http://a: "),
        (refusal(510), "http://a: MEXC answered with code 510"),
    ],
)
def test_no_host_is_an_absence_that_says_why(answer: Answer | Exception, said: str) -> None:
    hosts = Hosts({"http://": answer})
    with pytest.raises(VenueAwayError) as caught:
        asking(hosts, lambda rest: rest.contracts())
    assert "MEXC REST detail: " in str(caught.value)
    assert said in str(caught.value)
    assert "http://b" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        ok(None), ok([]), ok("x"), ok({"collectCycle": [1]}), ok({"collectCycle": "x"}),
        Answer(200, b'{"success":true,"data":' + b"[" * 1_100 + b"]" * 1_100 + b"}"),
        Answer(200, b'{"success":true,"data":{"collectCycle":"\xff"}}'),
        Answer(200, b'{"success":true,"data":{"collectCycle":1e999999999999999999999}}'),
    ],
)  # fmt: skip
def test_what_is_no_answer_to_the_question_is_an_absence(answer: Answer) -> None:
    with pytest.raises(VenueAwayError):
        asking(Hosts({"http://": answer}), lambda rest: rest.funding_hours("A_USDT"))


def test_a_refusal_that_will_not_change_is_not_asked_elsewhere() -> None:
    hosts = Hosts({"http://": refusal(1001)})
    with pytest.raises(RestError):
        asking(hosts, lambda rest: rest.trades("NOPE_USDT"))
    assert len(hosts.asked) == 1


def test_no_two_seconds_have_more_than_half_of_what_is_documented() -> None:
    hosts = Hosts()

    async def many(rest: MexcRest) -> None:
        await asyncio.gather(*(rest.funding_hours("X_USDT") for _ in range(35)))

    asking(hosts, many)
    assert most_at_once(hosts) == DOCUMENTED[Endpoint.FUNDING_RATE] // 2


@pytest.mark.parametrize("complaint", [Answer(429, b""), Answer(403, b""), refusal(510)])
def test_after_a_complaint_nothing_is_asked_for_a_while(complaint: Answer) -> None:
    hosts = Hosts({"http://a": complaint})
    rest, hours = asking(hosts, lambda rest: rest.funding_hours("X_USDT"))
    assert (hours, rest.limits.complaints) == (4, 1)
    assert hosts.asked_at[1] - hosts.asked_at[0] >= 1.0


def test_what_waited_for_the_end_of_a_pause_does_not_all_come_at_once() -> None:
    hosts = Hosts()

    async def many(rest: MexcRest) -> None:
        rest.limits.complained()
        await asyncio.gather(*(rest.funding_hours("X_USDT") for _ in range(35)))

    asking(hosts, many)
    assert most_at_once(hosts) == DOCUMENTED[Endpoint.FUNDING_RATE] // 2


def test_only_the_venues_own_address_has_a_second_one() -> None:
    assert hosts_for("https://contract.mexc.com/") == (
        "https://contract.mexc.com", "https://api.mexc.com",
    )  # fmt: skip
    assert hosts_for("http://cdb_sim:9000") == ("http://cdb_sim:9000",)
