"""The host port: no service takes time, waiting or threads from anywhere else."""

import ast
from pathlib import Path

import pytest

from services.runtime import host

pytestmark = pytest.mark.unit

SERVICES = Path(host.__file__).parents[1]
ROOMS = (
    *("runtime", "persistence", "cdb_core", "cdb_risk", "cdb_execution", "cdb_db_writer"),
    *("cdb_paper_runner", "cdb_ws"),
)
ADAPTERS = {
    "runtime/host.py": "the port itself",
    "runtime/bus/redis/connection.py": "a real socket with pollers",
    "runtime/database/": "a real socket of the driver",
    "runtime/embedded/": "real processes",
    "runtime/service/http.py": "a real HTTP server",
    "runtime/service/lifecycle.py": "a real signal's deadline",
    "cdb_ws/connections/": "the live feed runs in asyncio and has a simulator of its own",
    "cdb_ws/integrity/": "as above",
    "cdb_ws/live/": "as above",
    "cdb_ws/recording/": "a real disk and a real packer",
    "cdb_ws/symbols/": "part of the live feed in asyncio",
}
FORBIDDEN = {"time", "threading", "sched", "asyncio"}


def _modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((SERVICES / room).rglob("*.py"))]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def test_only_adapters_import_time_and_threads() -> None:
    offenders = {}
    for path in _modules():
        name = path.relative_to(SERVICES).as_posix()
        if not name.startswith(tuple(ADAPTERS)) and (taken := _imports(path) & FORBIDDEN):
            offenders[name] = sorted(taken)
    assert offenders == {}


def test_every_adapter_exists() -> None:
    assert [name for name in ADAPTERS if not (SERVICES / name).exists()] == []


def test_an_installed_host_is_asked_and_can_be_taken_back() -> None:
    class Frozen(host.Machine):
        def wall_ms(self) -> int:
            return 7

    machine = host.install(Frozen())
    try:
        assert host.wall_ms() == 7
    finally:
        host.install(machine)
    assert host.wall_ms() > 7


def test_a_task_can_be_waited_for() -> None:
    done = host.event()
    task = host.start(done.set, name="test")
    assert done.wait(30)
    task.join(30)
    assert not task.is_alive()
