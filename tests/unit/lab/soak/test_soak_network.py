"""The pipes in memory: order, delay, back-pressure, and every way in which a connection ends."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from services.exchange_sim.peer import PeerGone
from services.lab.soak import simulated_network, virtual_time
from services.lab.soak.simulated_network import SLOWEST_S, ClientEnd, ServerEnd, joined
from services.venues.mexc.network import MAX_FRAME_BYTES, ConnectionLost

pytestmark = pytest.mark.unit

Seen = list[str]


def play(program: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(program)


def pair(lost: Seen | None = None, sent: Seen | None = None) -> tuple[ClientEnd, ServerEnd]:
    return joined(
        Random(1),  # noqa: S311 - delays, no secrets
        lambda _, text: sent.append(text) if sent is not None else None,
        lambda _, why: lost.append(why) if lost is not None else None,
    )


def test_frames_arrive_in_order_after_a_while_and_text_arrives_as_bytes() -> None:
    async def main() -> None:
        client, server = pair()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(50):
            await server.send(str(number))
        assert [await client.recv() for _ in range(50)] == [b"%d" % n for n in range(50)]
        assert 0 < loop.time() - began <= SLOWEST_S

    play(main())


def test_commands_arrive_and_are_seen() -> None:
    async def main() -> None:
        sent: Seen = []
        client, server = pair(sent=sent)
        await client.send("one")
        assert await server.recv() == "one"
        assert sent == ["one"]

    play(main())


def test_an_orderly_end_delivers_what_was_sent_before() -> None:
    async def main() -> None:
        lost: Seen = []
        client, server = pair(lost)
        await server.send("last")
        await server.close(1001)
        assert await client.recv() == b"last"
        with pytest.raises(ConnectionLost, match="1001"):
            await client.recv()
        with pytest.raises(ConnectionLost):
            await client.send("late")
        assert len(lost) == 1

    play(main())


def test_a_cut_loses_what_was_on_the_way() -> None:
    async def main() -> None:
        client, server = pair()
        await server.send("on the way")
        server.abort()
        with pytest.raises(ConnectionLost, match="cut"):
            await client.recv()
        with pytest.raises(PeerGone):
            await server.send("late")

    play(main())


def test_a_client_that_closes_is_gone_for_the_exchange_and_has_lost_nothing() -> None:
    async def main() -> None:
        lost: Seen = []
        client, server = pair(lost)
        await client.close()
        await client.close()
        with pytest.raises(PeerGone):
            await server.recv()
        with pytest.raises(PeerGone):
            await server.send("late")
        assert lost == []

    play(main())


def test_a_reader_that_waits_learns_of_the_end() -> None:
    async def main() -> None:
        client, server = pair()
        asyncio.get_running_loop().call_later(5, server.abort)
        async with asyncio.timeout(6):
            with pytest.raises(ConnectionLost):
                await client.recv()

    play(main())


def test_a_sender_waits_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(simulated_network, "MOST_UNREAD", 3)
        client, server = pair()
        for number in range(3):
            await server.send(str(number))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await server.send("one too many")
        waiting = asyncio.create_task(server.send("3"))
        await client.recv()
        await asyncio.wait_for(waiting, 1)

    play(main())


def test_a_frame_over_the_limit_ends_the_connection() -> None:
    async def main() -> None:
        client, server = pair()
        await server.send(b" " * (MAX_FRAME_BYTES + 1))
        with pytest.raises(ConnectionLost, match="over the limit"):
            await client.recv()

    play(main())
