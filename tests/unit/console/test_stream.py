"""Open pages receive each event once, slow ones are let go, and the number of pages is bounded."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.console import stream
from services.console.stream import Hub, TooManyStreamsError

pytestmark = pytest.mark.unit
DEADLINE_S = 20.0


def row(seq: int) -> dict[str, Any]:
    return {"seq": seq, "text": "line\nbreak"}


async def received(page: AsyncIterator[bytes], wanted: int) -> list[bytes]:
    """The first messages of a page that carry data."""
    found: list[bytes] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < wanted:
            message = await anext(page)
            if b"data: " in message:
                found.append(message)
    return found


def test_a_page_gets_what_it_missed_then_the_view_then_what_happens() -> None:
    async def play() -> list[bytes]:
        hub = Hub(asyncio.get_running_loop())
        hub.post_view({"state": "ACTIVE"})
        await asyncio.sleep(0)
        page = hub.stream([row(5)])
        found = await received(page, 2)
        hub.post_event(row(6))
        return found + await received(page, 1)

    missed, view, event = asyncio.run(play())

    assert missed.startswith(b"id: 5\nevent: event\n")
    assert view.startswith(b"event: now\n")
    assert event.startswith(b"id: 6\n")


def test_data_is_one_line_whatever_an_event_says() -> None:
    message = stream.message("event", row(1), 1).decode()

    data = [line for line in message.split("\n") if line.startswith("data: ")]
    assert len(data) == 1
    assert json.loads(data[0].removeprefix("data: ")) == row(1)


def test_a_page_that_missed_too_much_reads_the_record_again() -> None:
    async def play() -> list[bytes]:
        return await received(Hub(asyncio.get_running_loop()).stream(None), 1)

    assert asyncio.run(play())[0].startswith(b"event: reload\n")


def test_a_page_that_does_not_read_is_let_go() -> None:
    async def play() -> tuple[int, int]:
        hub = Hub(asyncio.get_running_loop())
        page = hub.stream([])
        await anext(page)
        before = hub.open_streams
        for seq in range(stream.MOST_WAITING + 1):
            hub.post_event(row(seq))
        await asyncio.sleep(0)
        return before, hub.open_streams

    assert asyncio.run(play()) == (1, 0)


def test_one_page_too_many_is_refused() -> None:
    async def play() -> None:
        hub = Hub(asyncio.get_running_loop())
        for _ in range(stream.MOST_STREAMS):
            hub.join()
        assert hub.is_full
        with pytest.raises(TooManyStreamsError, match=str(stream.MOST_STREAMS)):
            hub.join()

    asyncio.run(play())


def test_closing_ends_every_page() -> None:
    async def play() -> list[bytes]:
        hub = Hub(asyncio.get_running_loop())
        page = hub.stream([])
        rest = [await anext(page)]
        hub.close()
        async with asyncio.timeout(DEADLINE_S):
            rest += [message async for message in page]
        assert hub.is_full, "a closed hub takes no page"
        return rest

    assert asyncio.run(play()) == [b"retry: 1000\n\n"]
