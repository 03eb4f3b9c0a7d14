"""Processes that a test may kill: a source of ticks and a stage, each on the real bus.

``python -m tests.bus_processes source|stage`` with a JSON object of arguments.
"""

import json
import signal
import sys
import threading
from typing import Any

from services.kernel.events import topics
from services.runtime.bus.bus import Bus
from services.runtime.bus.lockstep import LockStep
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.service.backoff import retry
from tests.bus_builders import tick
from tests.fake_stages import RelayStage


def main() -> None:
    kind, arguments = sys.argv[1], json.loads(sys.argv[2])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    address = RedisAddress(**arguments.pop("address"))
    if kind == "source":
        run_source(address, stop, **arguments)
    else:
        run_stage(address, stop, **arguments)


def run_source(
    address: RedisAddress, stop: threading.Event, *, count: int, batch: int, in_step: bool = False
) -> None:
    """Publish the ticks 0 to ``count``, going on where a predecessor stopped."""
    bus = Bus(address, topics.WS)
    claim = retry(bus.claim, stop)
    if claim is None:
        return
    number = int(claim.position or 0)
    lockstep = LockStep(bus)
    while number < count and not stop.is_set():
        upto = min(number + batch, count)
        ticks = [tick(n) for n in range(number, upto)]
        retry(lambda ticks=ticks, upto=upto: bus.publish(ticks, position=str(upto)), stop)
        number = upto
        if in_step:
            while not stop.is_set() and not retry(lambda: lockstep.wait_idle(1.0), stop):
                pass


def run_stage(address: RedisAddress, stop: threading.Event, **settings: Any) -> None:
    """Run a relay stage until asked to stop."""
    bus = Bus(address, address.username)
    StageLoop(RelayStage(address.username), bus, **settings).run(stop)


if __name__ == "__main__":
    main()
