"""What breaks things: signals, cut networks, full disks, an older memory. Nothing of trading."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.e2e.stack import Stack, StackError, docker

REDIS_USER: Final = "999:1000"
POSTGRES_DISK: Final = "1500m"
"""Size of the volume that PostgreSQL gets: small enough to be filled within a second."""
_COPY_AOF: Final = "rm -rf /data/copy && cp -r /data/appendonlydir /data/copy"
_SWAP_AOF: Final = "rm -rf /data/appendonlydir && mv /data/copy /data/appendonlydir"
_LOG_FILES: Final = 5
"""Of 16 MB each: what PostgreSQL keeps ahead at least (min_wal_size)."""
_NEXT_LOG_FILE: Final = "CREATE TABLE ballast (); DROP TABLE ballast; SELECT pg_switch_wal()"
_FILL: Final = "cat /dev/zero > /d/ballast 2> /dev/null || true"


class Hands:
    """Breaks one stack, from beside it.

    Two containers of its own are on the engine while it works: one sees every process of the
    machine, because a ``docker kill`` counts as an operator's stop and is not followed by a
    restart; the other keeps PostgreSQL's small volume mounted.

    Args:
        stack: Prepared with `prepare_disk` before it was started.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._killer = f"{stack.name}_killer"
        self._holder = f"{stack.name}_holder"

    def prepare_disk(self) -> None:
        """Make PostgreSQL's volume small, in memory; a volume that is full fills nothing else."""
        name = self._volume("postgres_data")
        docker(
            *("volume", "create", "--driver", "local"),
            *("--opt", "type=tmpfs", "--opt", "device=tmpfs"),
            *("--opt", f"o=size={POSTGRES_DISK},uid=70,gid=70"),
            *("--label", f"com.docker.compose.project={self._stack.name}"),
            *("--label", "com.docker.compose.volume=postgres_data", name),
        )
        self._run_aside(self._holder, "postgres:16-alpine", "-v", f"{name}:/d", "--user", "70:70")

    def begin(self) -> None:
        """Be ready; the stack is up."""
        image = self._stack.inspect("cdb_core")["Config"]["Image"]
        self._run_aside(self._killer, image, "--pid", "host", "--user", "0")

    def end(self) -> None:
        """Leave nothing behind."""
        for name in (self._killer, self._holder):
            try:
                docker("rm", "-f", name)
            except StackError:
                continue

    # -- processes ----------------------------------------------------------------------------

    def kill(self, *names: str) -> None:
        """SIGKILL the main processes of containers, all at once; docker starts them again."""
        self._signal(signal.SIGKILL, self._pids(names))

    def started_at(self, name: str) -> str:
        """When a container was started last, and how often."""
        found = self._stack.inspect(name)
        return f"{found['State']['StartedAt']} {found['RestartCount']}"

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Containers' main processes do nothing (SIGSTOP), and then go on (SIGCONT)."""
        pids = self._pids(names)
        self._signal(signal.SIGSTOP, pids)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT, pids)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """All of a container's processes do nothing (the engine's freezer), and then go on."""
        container = self._stack.container(name)
        docker("pause", container)
        try:
            yield
        finally:
            docker("unpause", container)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """A container is stopped, and started again."""
        self._stack.stop(name)
        try:
            yield
        finally:
            self._stack.start(name)

    @contextmanager
    def second(self, name: str, *, seconds: float) -> Iterator[None]:
        """A second instance of a service runs beside the first one."""
        container = f"{self._stack.name}_second"
        self._stack.compose("run", "--detach", "--no-deps", "--name", container, name)
        try:
            time.sleep(seconds)
            yield
        finally:
            docker("rm", "-f", container)

    # -- the network --------------------------------------------------------------------------

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """A container is on no network; its connections hang, as with a pulled cable."""
        network, container = f"{self._stack.name}_cdb_network", self._stack.container(name)
        docker("network", "disconnect", network, container)
        try:
            yield
        finally:
            docker("network", "connect", "--alias", name, network, container)

    def flood_until_dropped(self, topic: str, size: int, most: int) -> None:
        """Send messages from outside until Redis drops a subscriber who does not read them."""
        body = os.urandom(size // 2).hex()
        with self._stack.bus() as client:
            subscribers = client.publish(topic, body)
            sent = (client.publish(topic, body) for _ in range(most))
            assert any(reached < subscribers for reached in sent), "Redis dropped no subscriber"

    # -- the servers' disks -------------------------------------------------------------------

    def copy_redis_disk(self) -> None:
        """Keep what Redis's disk holds now."""
        self._stack.run_in("cdb_redis", "sh", "-c", _COPY_AOF)

    def restore_redis_disk(self) -> None:
        """Kill Redis and start it with what was kept."""
        self._start_redis_after(_SWAP_AOF)

    def empty_redis(self) -> None:
        """Kill Redis and start it without any memory."""
        self._start_redis_after("rm -rf /data/appendonlydir")

    @contextmanager
    def read_only_postgres(self) -> Iterator[None]:
        """PostgreSQL refuses every write of those that connect from now on; all must."""
        self._as_superuser("ALTER SYSTEM SET default_transaction_read_only = on")
        self._apply()
        try:
            yield
        finally:
            self._as_superuser("ALTER SYSTEM RESET default_transaction_read_only")
            self._apply()

    @contextmanager
    def full_postgres(self) -> Iterator[None]:
        """There is no room left on PostgreSQL's volume: it answers, and its tables cannot grow.

        Its own log keeps some room. Without, it stops within half a minute, and then it is an
        outage like any other.
        """
        for _ in range(_LOG_FILES):
            self._as_superuser(
                "CREATE TABLE ballast (); DROP TABLE ballast; SELECT pg_switch_wal()"
            )
        self._as_superuser("CHECKPOINT")  # keeps the old files for what comes
        docker("exec", self._holder, "bash", "-c", _FILL)
        try:
            yield
        finally:
            docker("exec", self._holder, "rm", "-f", "/d/ballast")

    def _pids(self, names: Sequence[str]) -> list[str]:
        return [str(self._stack.inspect(name)["State"]["Pid"]) for name in names]

    def _signal(self, number: signal.Signals, pids: Sequence[str]) -> None:
        """From beside: after any ``docker kill`` docker does not start a container again."""
        script = "import os, sys; [os.kill(int(pid), int(sys.argv[1])) for pid in sys.argv[2:]]"
        docker("exec", self._killer, "python", "-c", script, str(int(number)), *pids)

    def _apply(self) -> None:
        self._as_superuser("SELECT pg_reload_conf()")
        time.sleep(0.3)
        self._as_superuser(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def _as_superuser(self, statement: str) -> None:
        self._stack.run_in(
            "cdb_postgres",
            *("psql", "-h", "/var/run/postgresql", "-U", "claire_user", "-d", "claire_de_binare"),
            *("-v", "ON_ERROR_STOP=1", "-c", "SET default_transaction_read_only = off"),
            *("-c", statement),
        )

    def _start_redis_after(self, command: str) -> None:
        """Kill Redis, change its disk, start it: docker must not start it in between."""
        container = self._stack.container("cdb_redis")
        docker("update", "--restart", "no", container)
        docker("kill", container)
        self._on_redis_disk(command)
        if self._stack.inspect("cdb_redis")["State"]["Running"]:
            raise StackError("Redis was started before its disk was changed")
        self._stack.start("cdb_redis")
        docker("update", "--restart", "unless-stopped", container)

    def _on_redis_disk(self, command: str) -> None:
        volume = f"{self._volume('redis_data')}:/data"
        docker(
            *("run", "--rm", "-v", volume, "--user", REDIS_USER, "--entrypoint", "sh"),
            *("redis:7.4-alpine", "-c", command),
        )

    def _volume(self, name: str) -> str:
        return f"{self._stack.name}_{name}"

    def _run_aside(self, name: str, image: str, *options: str) -> None:
        command: Sequence[str] = ("--entrypoint", "sleep", image, "86400")
        docker("run", "--detach", "--init", "--name", name, *options, *command)
