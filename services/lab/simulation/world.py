"""Six services, two servers and their network, in one process."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final

from services.cdb_core.service import build as build_core
from services.cdb_db_writer.service import build as build_writer
from services.cdb_execution.service import ExecutionWorker
from services.cdb_paper_runner.worker import PaperRunner
from services.cdb_risk.service import build as build_risk
from services.cdb_ws.service import build as build_feed
from services.kernel.events import topics
from services.kernel.settings.model import SettingError
from services.lab.simulation.ports import Network
from services.lab.simulation.scheduler import Process, Scheduler, describe
from services.persistence.memory.database import MemoryDatabase
from services.runtime.bus.bus import Refused
from services.runtime.bus.memory.server import MemoryServer
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.service import shell as shells
from services.runtime.service.shell import Shell, Worker
from services.runtime.settings.model import SECRETS, Settings, load

BUILD: Final[Mapping[str, Callable[[Shell], Any]]] = {
    topics.WS: build_feed,
    topics.CORE: build_core,
    topics.RISK: build_risk,
    topics.EXECUTION: ExecutionWorker,
    topics.DB_WRITER: build_writer,
    topics.PAPER_RUNNER: PaperRunner,
}
RESTART_S: Final = 1.0
"""Seconds until a process that ended is started again."""


class SimulatedShell(Shell):
    """A shell whose servers are the simulation's."""

    def __init__(self, service: str, settings: Settings, network: Network) -> None:
        super().__init__(service, settings)
        self._network = network

    def redis_address(self, user: str) -> RedisAddress:
        """The simulated bus."""
        return self._network.bus_address(user)

    def database_address(self, role: str) -> DatabaseAddress:
        """The simulated database."""
        return self._network.database_address(role)


class Running:
    """One started service.

    Attributes:
        process: Its tasks.
        shell, worker: What was built; None until it was.
        exit_code: None while it runs.
    """

    def __init__(self, service: str, process: Process) -> None:
        self.service = service
        self.process = process
        self.shell: Shell | None = None
        self.worker: Worker | None = None
        self.exit_code: int | None = None


@cache
def _settings(service: str, given: tuple[tuple[str, str], ...]) -> Settings:
    secrets = dict.fromkeys(SECRETS, "secret")
    return load(service, environ=secrets | dict(given), env_file=None)


class World:
    """Everything that runs.

    Args:
        scheduler: Installed as the host.
        settings: Variables of all services.
    """

    def __init__(self, scheduler: Scheduler, settings: Mapping[str, str]) -> None:
        self.scheduler = scheduler
        self.bus = MemoryServer()
        self.database = MemoryDatabase()
        self.network = Network(scheduler, self.bus, self.database)
        self.settings = tuple(sorted(settings.items()))
        self.services: dict[str, Running] = {}
        self.started: Counter[str] = Counter()
        self.problems: list[str] = []
        self.stopping = False

    def start(self, service: str) -> Running:
        """Start a service, beside an instance that may run."""
        self.started[service] += 1
        process = Process(service)
        running = Running(service, process)
        self.services[service] = running
        self.scheduler.spawn(process, self._main, running, name="main")
        return running

    def kill(self, service: str) -> None:
        """Kill a service; it is started again a little later."""
        self.end(self.services[service])

    def end(self, running: Running) -> None:
        """Kill one process; where it was its service's newest, another is started."""
        if running.process.alive:
            self.scheduler.kill(running.process)
            self._ended(running)

    def stop(self) -> None:
        """Ask all services to stop, as SIGTERM does."""
        self.stopping = True
        for running in self.services.values():
            if running.shell is not None:
                running.shell.lifecycle.stopping.set()

    def _main(self, running: Running) -> None:
        settings = _settings(running.service, self.settings)
        shell = SimulatedShell(running.service, settings, self.network)
        running.worker = worker = BUILD[running.service](shell)
        running.shell = shell
        watched = _Watched(worker, partial(self._note, running.service))
        try:
            running.exit_code = shells.supervise(shell, watched)
        except Refused:
            running.exit_code = shells.EXIT_REFUSED
        except SettingError as refused:
            self.problems.append(f"{running.service} refuses to run: {refused}")
            running.exit_code = shells.EXIT_REFUSED
        if running.process.alive:
            self.scheduler.kill(running.process)
            self._ended(running)

    def _note(self, service: str, error: Exception) -> None:
        self.problems.append(f"{service} crashed: {describe(error)}")

    def _ended(self, running: Running) -> None:
        if self.services[running.service] is running and not self.stopping:
            waiting = Process(f"restart {running.service}")
            self.scheduler.spawn(waiting, self._restart, running, name="restart")

    def _restart(self, ended: Running) -> None:
        self.scheduler.sleep(RESTART_S)
        if self.services[ended.service] is ended and not self.stopping:
            self.start(ended.service)


class _Watched:
    """A worker whose crashes are noted before its shell swallows them."""

    def __init__(self, worker: Worker, note: Callable[[Exception], None]) -> None:
        self._worker = worker
        self._note = note

    def run(self, stopping: Any) -> None:
        try:
            self._worker.run(stopping)
        except shells.PASSING:
            raise
        except Exception as error:
            self._note(error)
            raise

    def health(self) -> Any:
        return self._worker.health()

    def status(self) -> dict[str, object]:
        return self._worker.status()
