"""How often REST may be asked, and how soon a socket may be opened again."""

import asyncio
from random import Random

import pytest

from services.cdb_ws.connections.attempts import BUDGET, BUDGET_S, LONGEST_WAIT_S, Attempts
from services.lab.soak import virtual_time
from services.venues.mexc.limits import DOCUMENTED, WINDOW_S, Endpoint, Limits

pytestmark = pytest.mark.unit


def chance() -> Random:
    return Random(1)  # noqa: S311 - jitter


def test_no_span_of_two_seconds_has_more_than_half_of_what_the_venue_documents() -> None:
    times: dict[Endpoint, list[float]] = {}

    async def program() -> None:
        limits, loop = Limits(chance()), asyncio.get_running_loop()

        async def ask(endpoint: Endpoint) -> None:
            await limits.wait(endpoint)
            times.setdefault(endpoint, []).append(loop.time())

        async with asyncio.TaskGroup() as tasks:
            for endpoint in Endpoint:
                for _ in range(40):
                    tasks.create_task(ask(endpoint))

    virtual_time.run(program(), limit_s=10)
    for endpoint, asked in times.items():
        allowed = DOCUMENTED[endpoint] // 2
        assert len(asked) == 40
        gaps = [later - first for first, later in zip(asked, asked[allowed:], strict=False)]
        assert min(gaps) >= WINDOW_S - 1e-6, endpoint
        # And none waits longer than that needs
        assert max(gaps) <= WINDOW_S + 1e-6, endpoint


def test_a_complaint_stops_every_endpoint_longer_each_time_until_an_answer() -> None:
    waits: list[float] = []

    async def program() -> None:
        limits, loop = Limits(chance()), asyncio.get_running_loop()

        async def wait_after_complaint(endpoint: Endpoint) -> None:
            limits.complained()
            began = loop.time()
            await limits.wait(endpoint)
            waits.append(loop.time() - began)

        for endpoint in (Endpoint.TRADES, Endpoint.KLINE, Endpoint.DETAIL):
            await wait_after_complaint(endpoint)
        limits.answered()
        await wait_after_complaint(Endpoint.TICKER)
        assert limits.complaints == 4

    virtual_time.run(program(), limit_s=10)
    assert 2.5 <= waits[0] <= 5
    assert 5 <= waits[1] <= 10
    assert 10 <= waits[2] <= 20
    assert 2.5 <= waits[3] <= 5


def test_a_socket_is_opened_at_once_then_slower_and_within_its_budget() -> None:
    # Given a socket that ends again and again without data
    attempts, now = Attempts(chance()), 0.0
    waits: list[float] = []
    while len(waits) < 8:
        waits.append(attempts.next_wait(now))
        now += waits[-1]
    # Then the first retry is at once and the others are later each time
    assert waits[0] == 0
    assert all(0.25 * 2**number <= wait <= 0.5 * 2**number for number, wait in enumerate(waits[1:]))


def test_data_begins_the_waits_again_but_not_the_budget() -> None:
    attempts, now = Attempts(chance()), 0.0
    for _ in range(BUDGET):
        assert attempts.next_wait(now) == 0
        attempts.reset()
        now += 1
    assert attempts.spent(now)
    assert attempts.next_wait(now) == LONGEST_WAIT_S
    # The budget is of the last ten minutes
    assert not attempts.spent(now + BUDGET_S + LONGEST_WAIT_S)
