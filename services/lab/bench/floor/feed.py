"""The feed's floor: receive every frame of a market and parse it as JSON, and nothing else.

`python -m services.lab.bench.floor.feed URL SOCKETS` reads commands from its standard input, one
per line, distributes them over that many sockets, and writes the number of frames once a second.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect

COMMANDS_PER_S = 10
PING = '{"method":"ping"}'
PING_EVERY_S = 15.0
MAX_FRAME_BYTES = 16 << 20


class _Count:
    frames = 0


async def _listen(url: str, commands: list[str], count: _Count) -> None:
    async with connect(
        url, ping_interval=None, compression=None, max_size=MAX_FRAME_BYTES, max_queue=1024
    ) as connection:
        talking = asyncio.create_task(_talk(connection, commands))
        try:
            while True:
                json.loads(await connection.recv(decode=False))
                count.frames += 1
        finally:
            talking.cancel()


async def _talk(connection: object, commands: list[str]) -> None:
    send = connection.send  # type: ignore[attr-defined]
    for command in commands:
        await send(command)
        await asyncio.sleep(1 / COMMANDS_PER_S)
    while True:
        await send(PING)
        await asyncio.sleep(PING_EVERY_S)


async def _say(count: _Count) -> None:
    while True:
        await asyncio.sleep(1)
        sys.stdout.write(f"{count.frames}\n")
        sys.stdout.flush()


async def _main(url: str, sockets: int, commands: list[str]) -> None:
    count = _Count()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_say(count))
        for number in range(sockets):
            tasks.create_task(_listen(url, commands[number::sockets], count))


def main(url: str, sockets: int) -> int:
    """Listen until stopped; returns the exit code."""
    commands = sys.stdin.read().splitlines()
    try:
        asyncio.run(_main(url, sockets, commands))
    except ExceptionGroup as errors:
        sys.stderr.write(f"{errors.exceptions[0]!r}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
