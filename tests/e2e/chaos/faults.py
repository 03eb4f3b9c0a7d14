"""The table of faults: what each breaks, and when the breaking is over."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.kernel.events import topics
from services.runtime.bus.journal import PAGE
from tests.deadline import wait_until
from tests.e2e.chaos.hands import Hands
from tests.e2e.stack import SERVICES, Stack

LONG_S: Final = 30.0
SHORT_S: Final = 6.0
"""The same outage where time is short."""
SHORTER_S: Final = 10.0
RED_WITHIN_S: Final = 90.0
"""A full disk is noticed when a file must grow."""
_REDIS_LOSES_S: Final = 1.5
_FLOOD_MESSAGES: Final = 600
_FLOOD_BYTES: Final = 500_000
"""Together far more than the 64 MB that Redis keeps for a subscriber."""
_DEPTH: Final = 1_100
_NESTED_EVERY_S: Final = 0.2
_READERS: Final = (topics.CORE, topics.RISK, topics.PAPER_RUNNER)
"""Who takes messages from outside here; cdb_ws does so only where the market is made by hand."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens.

    Attributes:
        seconds: How long an outage lasts.
        chance: Seeded; decides moments and targets.
    """

    stack: Stack
    hands: Hands
    seconds: float
    chance: random.Random

    @property
    def shorter(self) -> float:
        """How long what need not last long lasts."""
        return min(self.seconds, SHORTER_S)

    def wait_red(self, name: str) -> None:
        """Wait until a service notices the outage, and then as long as that lasts."""
        wait_until(lambda: self.stack.health(name)[0] != 200, f"{name} is red", RED_WITHIN_S)
        time.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the stack.

    Attributes:
        name: As the table shows it; ``{s}`` and ``{t}`` are the lengths of long and short outages.
        strike: Breaks it, and returns when whatever was broken is whole again.
        quick: Part of the short selection.
        loses: Redis comes back with less than PostgreSQL: what may be lost must be named, and
            trading halts until a person looks at it.
    """

    name: str
    strike: Callable[[Scene], None]
    quick: bool = False
    loses: bool = False

    @property
    def title(self) -> str:
        """Name for test ids."""
        words = self.name.replace(",", "").split(" for {")[0]
        return words.replace(" ", "-")

    def reported(self, scene: Scene) -> str:
        """Name for the table."""
        return self.name.format(s=f"{scene.seconds:g}", t=f"{scene.shorter:g}")


def kill_one(scene: Scene, name: str) -> None:
    """SIGKILL a service at some moment of the next second."""
    before = scene.hands.started_at(name)
    time.sleep(scene.chance.uniform(0.0, 1.0))
    scene.hands.kill(name)
    wait_until(lambda: scene.hands.started_at(name) != before, f"{name} is started again", 30)


def _kill_all(scene: Scene) -> None:
    scene.hands.kill(*SERVICES)


def _freeze(name: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        with scene.hands.frozen(name):
            time.sleep(scene.seconds)

    return strike


def _cut(name: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        with scene.hands.cut_off(name):
            time.sleep(scene.shorter)

    return strike


def _kill_redis(scene: Scene) -> None:
    time.sleep(scene.chance.uniform(0.0, 1.0))
    scene.hands.kill("cdb_redis")


def _older_redis(scene: Scene) -> None:
    """PostgreSQL has a part of what Redis loses."""
    scene.hands.copy_redis_disk()
    head = _head(scene)
    time.sleep(_REDIS_LOSES_S)
    written = "SELECT seq FROM db_writer_cursor"
    wait_until(lambda: int(scene.stack.one(written)) > head, "the writer is behind the copy", 30)
    scene.hands.restore_redis_disk()


def _older_redis_unwritten(scene: Scene) -> None:
    """What Redis loses is not in PostgreSQL either: who made it notices, and makes it again."""
    with scene.hands.frozen("cdb_db_writer"):
        scene.hands.copy_redis_disk()
        head = _head(scene)
        time.sleep(_REDIS_LOSES_S)
        wait_until(lambda: _head(scene) > head, "there is something to lose", 30)
        scene.hands.restore_redis_disk()


def _head(scene: Scene) -> int:
    with scene.stack.bus() as client:
        return int(client.hget("cdb:counters", "seq") or 0)


def _empty_redis(scene: Scene) -> None:
    scene.hands.empty_redis()


def _kill_postgres(scene: Scene) -> None:
    scene.hands.kill("cdb_postgres")


def _postgres_down(scene: Scene) -> None:
    with scene.hands.stopped("cdb_postgres"):
        scene.wait_red("cdb_db_writer")


def _postgres_read_only(scene: Scene) -> None:
    with scene.hands.read_only_postgres():
        scene.wait_red("cdb_db_writer")


def _postgres_full(scene: Scene) -> None:
    """Long enough that the writer takes more than one receipt to read what it has missed."""
    with scene.hands.full_postgres():
        scene.wait_red("cdb_db_writer")
        wait_until(lambda: _backlog(scene) > 3 * PAGE, "the writer is far behind", 600)


def _postgres_frozen(scene: Scene) -> None:
    with scene.hands.paused("cdb_postgres"):
        wait_until(
            lambda: "DATABASE_AWAY" in str(scene.stack.get("cdb_risk", "/status")),
            "entries are forbidden",
            RED_WITHIN_S,
        )
        scene.wait_red("cdb_db_writer")


def _backlog(scene: Scene) -> int:
    with scene.stack.bus() as client:
        written = int(client.hget("cdb:cursor:cdb_db_writer", "seq") or 0)
    return _head(scene) - written


def _slow_subscriber(scene: Scene) -> None:
    with scene.hands.frozen("cdb_risk"):
        scene.hands.flood_until_dropped("risk_decisions", _FLOOD_BYTES, _FLOOD_MESSAGES)


def _deeply_nested(scene: Scene) -> None:
    """On every channel, all the time: each of these crashed all six services."""
    before = {name: scene.hands.started_at(name) for name in SERVICES}
    put_aside = {name: _letters(scene, name) for name in _READERS}
    bodies = ("[" * _DEPTH + "]" * _DEPTH, '{"a":' * _DEPTH + "1" + "}" * _DEPTH)
    deadline = time.monotonic() + scene.shorter
    with scene.stack.bus() as client:
        while time.monotonic() < deadline:
            for channel in (*topics.TOPICS, topics.OPERATOR):
                for body in bodies:
                    client.publish(channel, body)
            time.sleep(_NESTED_EVERY_S)
    for name in _READERS:
        wait_until(lambda n=name: _letters(scene, n) > put_aside[n], f"{name} puts them aside", 60)
    after = {name: scene.hands.started_at(name) for name in SERVICES}
    assert after == before, "a service was restarted"


def _letters(scene: Scene, name: str) -> int:
    with scene.stack.bus() as client:
        key = f"cdb:dead:{name}"
        return int(client.xinfo_stream(key)["entries-added"]) if client.exists(key) else 0


def _second(name: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        with scene.hands.second(name, seconds=scene.shorter):
            pass

    return strike


FAULTS: Final = (
    Fault("all six services SIGKILLed at once", _kill_all, quick=True),
    *(
        Fault(f"{name} frozen (SIGSTOP) for {{s}} s", _freeze(name), quick=name == "cdb_risk")
        for name in SERVICES
    ),
    Fault("redis SIGKILLed and restarted", _kill_redis, quick=True),
    Fault("redis back without its last second", _older_redis, quick=True, loses=True),
    Fault(
        "redis back without its last second, which nobody wrote down",
        _older_redis_unwritten,
        quick=True,
    ),
    Fault("redis back with nothing", _empty_redis, loses=True),
    Fault("postgres SIGKILLed and restarted", _kill_postgres),
    Fault("postgres down for {s} s", _postgres_down, quick=True),
    Fault("postgres read-only for {s} s", _postgres_read_only),
    Fault("postgres full for {s} s", _postgres_full, quick=True),
    Fault("postgres frozen for {s} s", _postgres_frozen, quick=True),
    *(Fault(f"{name} cut off the network for {{t}} s", _cut(name)) for name in SERVICES),
    Fault("cdb_risk too slow, dropped by redis", _slow_subscriber),
    Fault("deeply nested messages on every channel for {t} s", _deeply_nested, quick=True),
    Fault("a second cdb_db_writer for {t} s", _second("cdb_db_writer")),
    Fault("a second cdb_risk for {t} s", _second("cdb_risk")),
    Fault("a second cdb_execution for {t} s", _second("cdb_execution")),
    Fault("a second cdb_ws for {t} s", _second("cdb_ws")),
)
