"""The whole system on one machine without containers: two servers and six services as processes."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import redis

from services.kernel.events import topics
from services.runtime.bus.redis import acl
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.connections import DatabaseAddress
from services.runtime.embedded import cpu_time
from services.runtime.embedded.binaries import NoServerBinaryError
from services.runtime.embedded.home import Home, Session
from services.runtime.embedded.postgres_server import EmbeddedPostgres
from services.runtime.embedded.process import EmbeddedServerError, free_port
from services.runtime.embedded.redis_server import EmbeddedRedis
from services.runtime.embedded.supervisor import ChildFailedError, Supervisor
from services.runtime.service.http_query import get_json
from services.runtime.settings.model import CONSOLE_SECRETS, MANDATORY, SECRETS, known_names
from services.runtime.settings.secrets import GENERATED, password_variable

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
RECORD_SECONDS = 120.0
POLL_SECONDS = 0.1
IN_ORDER_TABLES = (topics.ORDERS, topics.ORDER_RESULTS, topics.CONTROL)
"""Topics that the tables ``orders`` and ``trades`` follow; they follow the record, so later."""
QUIET_SECONDS = 0.5
"""So long without a new event, stages that still had something to say have said it."""


class SessionError(RuntimeError):
    """The embedded system did not start, or broke; the message says why and what to do."""


class EmbeddedSession:
    """Servers and services of one home; a context manager that leaves nothing running.

    Enter it on the main thread: on Linux, processes end with the thread that started them.

    Args:
        home: Taken by the caller.
        settings: Variables for all services, over the inherited environment.
    """

    def __init__(self, home: Home, settings: Mapping[str, str]) -> None:
        self.home = home
        self._settings = dict(settings)
        self._passwords: dict[str, str] = {}
        self._ports: dict[str, int] = {}
        self._redis: EmbeddedRedis | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._supervisor = Supervisor(home.logs)
        self._client: redis.Redis | None = None
        self._stack = contextlib.ExitStack()
        self._console_port: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def operator(self) -> RedisAddress:
        """The bus, as the operator."""
        assert self._redis is not None
        password = self._passwords[password_variable(acl.OPERATOR)]
        return RedisAddress(LOOPBACK, self._redis.port, acl.OPERATOR, password)

    @property
    def database(self) -> DatabaseAddress:
        """The database, as its owner."""
        assert self._postgres is not None
        return self._postgres.address

    @property
    def services(self) -> dict[str, str]:
        """Service name to the base URL of its HTTP server."""
        return {name: f"http://{LOOPBACK}:{port}" for name, port in self._ports.items()}

    def start_servers(self) -> None:
        """Start Redis (or Valkey) and PostgreSQL.

        Raises:
            SessionError: One of them does not start.
        """
        self._passwords = self.home.passwords(GENERATED)
        users = {user: self._passwords[password_variable(user)] for user in acl.USERS}
        try:
            self._redis = EmbeddedRedis(self.home.folder, acl.render(users))
            self._stack.enter_context(self._redis)
            self._postgres = EmbeddedPostgres(self.home.folder)
            self._stack.enter_context(self._postgres)
        except (EmbeddedServerError, NoServerBinaryError) as error:
            raise SessionError(str(error)) from error
        self._client = redis.Redis(
            host=self.operator.host,
            port=self.operator.port,
            username=self.operator.username,
            password=self.operator.password,
            socket_timeout=5.0,
        )
        self._stack.callback(self._client.close)

    def start_services(
        self,
        names: Sequence[str] = topics.SERVICES,
        *,
        modules: Mapping[str, str] | None = None,
        console: bool = False,
    ) -> None:
        """Start services, and publish their addresses for other commands.

        Args:
            names: Which.
            modules: What runs in a service's place, for benchmarks.
            console: Whether the orchestrator starts the web console.
        """
        self._ports = {name: free_port() for name in names}
        self._console_port = free_port() if console else None
        self._stack.enter_context(self._supervisor)
        for name in names:
            module = (modules or {}).get(name, f"services.{name}")
            command = (sys.executable, "-m", module)
            self._supervisor.start(name, command, self._environment(name))
        assert self._redis is not None
        session = Session(os.getpid(), self._redis.port, self.database.port, self.services)
        self._stack.enter_context(self.home.published(session))

    @property
    def console(self) -> str | None:
        """Address of the web console; None where it was not asked for."""
        return None if self._console_port is None else f"http://{LOOPBACK}:{self._console_port}"

    def _console_environment(self) -> dict[str, str]:
        """What the orchestrator gets for the console that it starts."""
        if self._console_port is None:
            return {}
        addresses = ",".join(f"{name}={url}" for name, url in self.services.items())
        given = {"CONSOLE_PORT": str(self._console_port), "CONSOLE_SERVICES": addresses}
        return given | {name: self._passwords[name] for name in CONSOLE_SECRETS}

    def _environment(self, service: str) -> dict[str, str]:
        """What one service gets: the settings, and of the secrets only its own."""
        # What the system reads comes from this session alone; a .env is for the containers.
        ours = known_names() | {f"{name}_FILE" for name in SECRETS}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        database = self.database
        secrets = {name: self._passwords[name] for name in MANDATORY[service]}
        if "POSTGRES_PASSWORD" in secrets:
            secrets["POSTGRES_PASSWORD"] = database.password
        console = self._console_environment() if service == topics.PAPER_RUNNER else {}
        return {
            **inherited,
            **self._settings,
            **secrets,
            **console,
            "CDB_ENV_FILE": os.devnull,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(self.operator.port),
            "POSTGRES_HOST": LOOPBACK,
            "POSTGRES_PORT": str(database.port),
            "POSTGRES_DB": database.database,
            "POSTGRES_USER": database.user,
            "HTTP_HOST": LOOPBACK,
            "HTTP_PORT": str(self._ports[service]),
        }

    def watch(self) -> list[str]:
        """Look after the services; a line for each that had to be started again.

        Raises:
            SessionError: One of them cannot work.
        """
        try:
            return self._supervisor.watch()
        except ChildFailedError as error:
            raise SessionError(str(error)) from error

    def wait_until(self, reached: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for something, looking after the services meanwhile.

        Raises:
            SessionError: The time is over, or a service cannot work.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            self.watch()
            if time.monotonic() > deadline:
                raise SessionError(f"{what} within {seconds:g} s; see the logs in {self.home.logs}")
            time.sleep(POLL_SECONDS)

    def head(self) -> int:
        """Last position of the total order; 0 when nothing was published."""
        return self._number("cdb:counters", "seq")

    def cursor(self, service: str) -> int:
        """Position up to which a service has handled its input; 0 before its first."""
        return self._number(f"cdb:cursor:{service}", "seq")

    def position(self, service: str) -> str | None:
        """A source's own place, as it left it on the bus with its last publication."""
        value = self._field(f"cdb:cursor:{service}", "position")
        return None if value is None else value.decode()

    def wait_recorded(self, seconds: float = RECORD_SECONDS) -> None:
        """Wait until PostgreSQL has everything that the bus has, ``orders`` and ``trades`` too."""
        head = self.head()
        self.wait_until(
            lambda: self.cursor(topics.DB_WRITER) >= head,
            f"the writer did not reach event {head}",
            seconds,
        )
        last = max(self._number("cdb:counters", f"topic_head:{topic}") for topic in IN_ORDER_TABLES)
        self.wait_until(
            lambda: self._tables_seq(last) >= last,
            f"orders and trades did not reach event {last}",
            seconds,
        )

    def _tables_seq(self, last: int) -> int:
        """Last seq that is in ``orders`` and ``trades``; ``last`` where nobody writes them."""
        if topics.EXECUTION not in self.services:
            return last
        state = self.ask(topics.EXECUTION, "/status")
        return -1 if state is None else int(state.get("tables_seq", last))

    def wait_quiet(self, seconds: float = RECORD_SECONDS) -> None:
        """Wait until nothing new is published any more and PostgreSQL has everything.

        Raises:
            SessionError: The time is over, or a service cannot work.
        """
        deadline = time.monotonic() + seconds
        head = -1
        while head != self.head():
            head = self.head()
            self.wait_recorded(max(0.0, deadline - time.monotonic()))
            time.sleep(QUIET_SECONDS)

    def ask(self, service: str, path: str, seconds: float = 2.0) -> dict[str, Any] | None:
        """The JSON that a service's HTTP server answers; None when it does not."""
        answer = get_json(f"{self.services[service]}{path}", seconds)
        return answer.body if answer.status else None

    def wait_working(self, service: str, seconds: float = START_SECONDS) -> None:
        """Wait until a service waits for nothing any more and hears what is published.

        Raises:
            SessionError: The time is over, or a service cannot work.
        """

        def works() -> bool:
            state = self.ask(service, "/status")
            return state is not None and state.get("waiting_for") is None

        self.wait_until(works, f"{service} did not begin to work", seconds)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used so far: by service, and by the two servers."""
        pids = dict(self._supervisor.running)
        for name, server in (("redis", self._redis), ("postgres", self._postgres)):
            if server is not None and server.pid is not None:
                pids[name] = server.pid
        return {name: cpu_time.of_family(pid) for name, pid in pids.items()}

    def stop_services(self, *names: str) -> None:
        """Stop services in good order; all of them when no names are given."""
        self._supervisor.stop(*names)

    def kill_services(self, *names: str) -> None:
        """SIGKILL services, all at once; `watch` starts them again."""
        self._supervisor.kill(*names)

    @contextlib.contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """A service does nothing meanwhile (SIGSTOP), and then goes on."""
        pid = self._supervisor.running[service]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End everything as a power cut would; only leaving the context makes sense then."""
        self._supervisor.kill(*self._supervisor.running)
        for server in (self._redis, self._postgres):
            if server is not None:
                server.kill()

    def _number(self, key: str, field: str) -> int:
        return int(self._field(key, field) or 0)

    def _field(self, key: str, field: str) -> bytes | None:
        assert self._client is not None
        value: bytes | None = self._client.hget(key, field)  # type: ignore[assignment]
        return value
