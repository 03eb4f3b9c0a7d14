"""Whether the stack trades: everything healthy, everybody behind a fresh tick, nothing halted."""

import json
import subprocess
import time
from typing import Any, Final

import psycopg
import redis

from services.kernel.events import topics
from tests.deadline import wait_until
from tests.e2e.stack import SERVICES, Stack, StackError

TRADES_WITHIN_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.1
_FOLLOWERS: Final = (*topics.STAGE_ORDER, topics.DB_WRITER)
_AWAY: Final = (redis.RedisError, OSError, psycopg.Error, StackError, subprocess.SubprocessError)


class Trading:
    """Looks at one stack from outside.

    Args:
        stack: What is looked at.

    Attributes:
        released: Halts that were released, each with its reason.
        waited_for: What was missing during the last wait, and from which second on.
    """

    def __init__(self, stack: Stack) -> None:
        self.released: list[str] = []
        self.waited_for: list[str] = []
        self._stack = stack

    def head(self) -> int:
        """The last seq on the bus."""
        with self._stack.bus() as client:
            return int(client.hget("cdb:counters", "seq") or 0)

    def wait(self, what: str, since: float) -> float:
        """Wait until it trades; a halt is released as a person would do it.

        Args:
            what: After what, for the message.
            since: When the fault was over, monotonic.

        Returns:
            Seconds from then to trading.
        """
        mark = 0
        missing = ""
        self.waited_for = []

        def trades() -> bool:
            nonlocal mark, missing
            try:
                mark = mark or self._mark()
                missing = self._missing(mark) if mark else "the bus is not compared with the record"
            except _AWAY as away:
                missing = str(away).strip().splitlines()[0] if str(away).strip() else repr(away)
            if missing:
                self._note(missing, time.monotonic() - since)
            return not missing

        def state() -> str:
            logs = "\n".join(self._stack.logs(name, lines=12) for name in SERVICES)
            return f"trading after {what}: {missing}\n{logs}"

        wait_until(trades, state, TRADES_WITHIN_S, _LOOK_EVERY_S)
        return time.monotonic() - since

    def _mark(self) -> int:
        """The next seq; 0 until the bus is open: what is put back says nothing of trading."""
        with self._stack.bus() as client:
            life = client.info("server")["run_id"]
            return self.head() + 1 if client.get("cdb:verified") == life else 0

    def _note(self, missing: str, seconds: float) -> None:
        kind = missing.split(" ", 1)[0]
        if not self.waited_for or self.waited_for[-1].split(" s: ", 1)[1].split(" ", 1)[0] != kind:
            self.waited_for.append(f"{seconds:.1f} s: {missing[:300]}")

    def _missing(self, mark: int) -> str:
        """What is missing to trading; empty when nothing is."""
        with self._stack.bus() as client:
            for name in _FOLLOWERS:
                at = int(client.hget(f"cdb:cursor:{name}", "seq") or 0)
                if at < mark:
                    return f"{name} is at {at}, not at {mark}"
        for name in SERVICES:
            status, body = self._stack.health(name)
            if status != 200:
                return f"{name}: {status} {body}"
        reported = self.status("cdb_paper_runner").get("stage", {})
        if reported.get("last_seq", 0) < mark:
            return f"cdb_paper_runner reports {reported.get('last_seq', 0)}, not of {mark}"
        halted = reported.get("halted")
        if halted:
            self._release(str(halted))
            return f"halted: {halted}"
        return ""

    def status(self, name: str) -> dict[str, Any]:
        """What a service reports of itself."""
        status, body = self._stack.get(name, "/status")
        if status != 200:
            return {}
        found: dict[str, Any] = json.loads(body)
        return found

    def _release(self, reason: str) -> None:
        """``claire reset``, as it is on the bus."""
        with self._stack.bus() as client:
            client.publish("operator", json.dumps({"type": "reset", "reason": "chaos: looked at"}))
        self.released.append(reason)
        time.sleep(0.5)

    def stop_market(self) -> int:
        """End the market, and wait until the record has everything.

        Returns:
            The last seq.
        """
        self._stack.stop("cdb_ws")
        last = -1

        def all_is_written() -> bool:
            nonlocal last
            before, last = last, self.head()
            written = int(self._stack.one("SELECT seq FROM db_writer_cursor"))
            return before == last == written

        wait_until(all_is_written, "the record has all of the bus", TRADES_WITHIN_S, every=1.0)
        return last
