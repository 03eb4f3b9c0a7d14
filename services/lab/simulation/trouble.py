"""Carries a plan's faults out, each at its time."""

from collections import Counter
from typing import Any, Final

from services.kernel.events import topics
from services.lab.simulation import plan as plans
from services.lab.simulation.plan import Fault, Plan
from services.lab.simulation.scheduler import START_S, Process
from services.lab.simulation.world import Running, World
from services.runtime import host
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.operator.message import operator_message

BACKUP_EVERY_S: Final = 0.7
BACKUPS: Final = 5
_COMMANDS: Final = ("halt", "reset", "pause", "resume", "reset")
RESET_AFTER_S: Final = 4.0
SECOND_S: Final = 3.0
"""How long two instances of a service run beside each other, unless one ends by itself."""


class Trouble:
    """The faults of one simulation.

    Attributes:
        counts: Faults that happened, by kind; kills also by service.
        happened: Time and name of each, for people.
        over: Whether nothing more comes.
    """

    def __init__(self, world: World, plan: Plan) -> None:
        self.counts: Counter[str] = Counter()
        self.happened: list[str] = []
        self.over = False
        self._world = world
        self._plan = plan
        self._process = Process("trouble")
        self._kill_after: dict[str, int] = {}
        self._backups: list[dict[bytes, Any]] = []
        self._pending = 0
        world.scheduler.on_call = self._on_call

    def start(self) -> None:
        """Begin."""
        scheduler = self._world.scheduler
        if any(fault.kind == plans.BUS_LESS for fault in self._plan.faults):
            scheduler.spawn(self._process, self._back_up, name="backups")
        scheduler.spawn(self._process, self._work, name="faults")

    # -- tasks --------------------------------------------------------------------------------

    def _work(self) -> None:
        for fault in self._plan.faults:
            host.sleep(max(0.0, START_S + fault.at - host.monotonic()))
            self._begin(fault)
        while self._pending:
            host.sleep(0.1)
        self._kill_after.clear()
        self._world.network.armed.clear()
        self._world.network.armed_commits.clear()
        self.over = True

    def _back_up(self) -> None:
        while not self.over:
            host.sleep(BACKUP_EVERY_S)
            if self._world.bus.up:
                self._backups = [*self._backups[1 - BACKUPS :], self._world.bus.backup()]

    def _later(self, seconds: float, action: Any, *args: object) -> None:
        self._pending += 1

        def wait() -> None:
            host.sleep(seconds)
            action(*args)
            self._pending -= 1

        self._world.scheduler.spawn(self._process, wait, name="later")

    # -- faults -------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        world, network = self._world, self._world.network
        running = world.services.get(fault.service)
        match fault.kind:
            case plans.KILL if running is not None:
                self._kill(running)
            case plans.KILL_AT_CALL:
                self._kill_after[fault.service] = 1 + int(fault.size * 60)
            case plans.BUS_BEFORE | plans.BUS_ANSWER | plans.BUS_SLOW:
                network.armed[fault.service] = fault.kind
            case plans.COMMIT_LOST | plans.COMMIT_UNKNOWN:
                network.armed_commits[fault.service] = fault.kind
            case plans.SECOND:
                self._note(fault.kind, fault.service)
                world.start(fault.service)
                if running is not None:
                    self._later(SECOND_S, world.end, running)
            case plans.PAUSE if running is not None:
                self._note(fault.kind, fault.service)
                world.scheduler.pause(running.process, 0.2 + fault.size * 8)
            case plans.DROP:
                self._drop(fault)
            case _:
                self._strike_server(fault)

    def _strike_server(self, fault: Fault) -> None:
        world, seconds = self._world, 0.05 + fault.size * 3
        match fault.kind:
            case plans.BUS_RESTART | plans.BUS_LESS if world.bus.up:
                less = fault.kind == plans.BUS_LESS and bool(self._backups)
                held = self._backups[int(fault.size * len(self._backups))] if less else None
                self._backups = []
                self._note(plans.BUS_LESS if less else plans.BUS_RESTART, "")
                world.bus.stop()
                self._later(seconds, world.bus.start, held)
                if less:
                    self._later(seconds + RESET_AFTER_S, self._command, "reset", "after a loss")
            case plans.DATABASE_RESTART if world.database.up:
                self._note(fault.kind, "")
                world.database.stop()
                self._later(seconds, world.database.start)
            case plans.BUS_FULL:
                self._note(fault.kind, "")
                world.bus.full = True
                self._later(seconds, setattr, world.bus, "full", False)
            case plans.DISK_FULL:
                self._note(fault.kind, "")
                world.database.full = True
                self._later(seconds, setattr, world.database, "full", False)
            case plans.COMMAND:
                command = _COMMANDS[int(fault.size * len(_COMMANDS))]
                self._later(0.0, self._command, command, f"seed {self._plan.seed}")
                if command == "halt":
                    self._later(RESET_AFTER_S, self._command, "reset", "released")
                elif command == "pause":
                    self._later(RESET_AFTER_S, self._command, "resume", "released")

    def _command(self, command: str, reason: str) -> None:
        name = f"{command} {len(self.happened)}"
        body = operator_message(command, reason, None, name)
        bus = Bus(self._world.network.bus_address("operator"), "operator")
        try:
            if bus.post(topics.OPERATOR, body):
                self._note(plans.COMMAND, command)
        except Unavailable:
            return  # the operator sees that nobody answers
        finally:
            bus.close()

    def _drop(self, fault: Fault) -> None:
        for connection in self._world.bus.connections.copy():
            if connection.user == fault.service and connection.name.endswith("subscriber"):
                self._note(fault.kind, fault.service)
                connection.drop()

    def _kill(self, running: Running) -> None:
        if running.process.alive:
            self.counts[f"kill {running.service}"] += 1
            self._note(plans.KILL, running.service)
            self._world.end(running)

    def _on_call(self, process: Process) -> None:
        left = self._kill_after.get(process.name)
        if left is None:
            return
        if left > 1:
            self._kill_after[process.name] = left - 1
            return
        del self._kill_after[process.name]
        running = self._world.services.get(process.name)
        if running is not None and running.process is process and process.alive:
            self.counts[f"kill {process.name}"] += 1
            self._note(plans.KILL_AT_CALL, process.name)
            self._world.end(running)

    def _note(self, kind: str, whom: str) -> None:
        self.counts[kind] += 1
        at = self._world.scheduler.now - START_S
        self.happened.append(f"{at:.3f} s: {kind} {whom}".rstrip())
