"""The event loop of the soak: waiting costs nothing, order is kept, a dead end is an error."""

import asyncio
import time

import pytest

from services.lab.soak import virtual_time

pytestmark = pytest.mark.unit


def test_an_hour_of_waiting_takes_no_time_and_moves_the_loops_clock_by_an_hour() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    began = time.monotonic()
    assert virtual_time.run(wait()) == pytest.approx(3600)
    assert time.monotonic() - began < 5


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def main() -> list[float]:
        fired: list[float] = []

        async def after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append(seconds)

        await asyncio.gather(*(after(seconds) for seconds in (3, 0.001, 2, 0, 60)))
        return fired

    assert virtual_time.run(main()) == [0, 0.001, 2, 3, 60]


def test_a_deadline_ends_a_wait() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return loop.time()

    assert virtual_time.run(main()) == pytest.approx(virtual_time.START_S + 30)


def test_a_program_that_waits_for_ever_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual_time.StuckError, match="no timer"):
        virtual_time.run(main())


def test_a_program_in_which_time_does_not_move_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    monkeypatch.setattr(virtual_time, "MOST_TURNS_AT_ONE_TIME", 1_000)
    with pytest.raises(virtual_time.StuckError, match="no time has passed"):
        virtual_time.run(main())


def test_a_thread_is_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(virtual_time.StuckError, match="thread"):
        virtual_time.run(main())


def test_a_program_that_takes_too_much_processor_time_is_given_up() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(virtual_time.StuckError, match="processor time"):
        virtual_time.run(main(), limit_s=0.05)


def test_a_program_that_the_machine_leaves_waiting_is_not_stuck() -> None:
    async def main() -> str:
        await asyncio.sleep(1)
        time.sleep(0.2)  # other programs have the processor
        await asyncio.sleep(1)
        return "ended"

    assert virtual_time.run(main(), limit_s=0.1) == "ended"
