import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from services.kernel.events import topics
from services.kernel.settings.model import SettingError
from services.runtime.bus.bus import Refused, Unavailable
from services.runtime.database.connections import DatabaseAwayError
from services.runtime.service.health import Health
from services.runtime.service.shell import EXIT_CRASHED, EXIT_REFUSED, Shell, run

pytestmark = pytest.mark.unit

ENVIRONMENT = {
    "REDIS_PASSWORD_CDB_CORE": "x-of-this-test",
    "HTTP_PORT": "0",
    "CDB_ENV_FILE": "/dev/null",
}


class FakeWorker:
    """Raises what the test says, one per call of ``run``; then asks to stop."""

    def __init__(self, shell: Shell, troubles: list[Exception]) -> None:
        self.shell = shell
        self.troubles = troubles
        self.runs = 0
        self.seen: list[Health] = []

    def run(self, stopping: threading.Event) -> None:
        self.runs += 1
        self.seen.append(self.shell.health(self))
        if self.troubles:
            raise self.troubles.pop(0)
        self.shell.lifecycle.working()
        self.seen.append(self.shell.health(self))
        stopping.set()

    def health(self) -> Health:
        return Health(measured={"figure": 1})

    def status(self) -> dict[str, object]:
        return {"runs": self.runs}


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    structlog.reset_defaults()


@pytest.fixture
def run_with() -> Callable[..., tuple[int, FakeWorker]]:
    def start(*troubles: Exception) -> tuple[int, FakeWorker]:
        made: list[FakeWorker] = []

        def build(shell: Shell) -> FakeWorker:
            made.append(FakeWorker(shell, list(troubles)))
            return made[0]

        code = run(topics.CORE, build, environ=ENVIRONMENT)
        return code, made[0]

    return start


def test_it_is_red_until_the_worker_works_and_ends_with_0(run_with):
    code, worker = run_with()
    assert code == 0
    assert [health.reasons for health in worker.seen] == [("starting",), ()]


def test_who_starts_without_collecting_garbage_works_with_it(run_with):
    gc.disable()
    try:
        run_with()
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_services_without_a_database_start_without_its_driver():
    # Its import is a fifth of a restart's processor time.
    loaded = (
        "import services.cdb_ws.service, services.cdb_core.service, services.cdb_risk.service, sys;"
        " print([name for name in sys.modules if name.startswith('psycopg')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize(
    "away",
    [
        Unavailable("Redis is away"),
        DatabaseAwayError("PostgreSQL is away"),
        Refused("EPOCH", "another epoch"),
    ],
)
def test_what_passes_with_time_is_tried_again_and_reported(run_with, away: Exception):
    code, worker = run_with(away, away)
    assert (code, worker.runs) == (0, 3)
    assert worker.seen[1].reasons == (str(away),)
    assert worker.seen[-1].ok


def test_another_instance_ends_it_with_one_line(run_with, capsys: pytest.CaptureFixture[str]):
    code, _ = run_with(Refused("FENCED", "instance 2 took over from 1"))
    assert code == EXIT_REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cdb_core: FENCED")
    assert "another instance runs" in line


def test_an_unusable_setting_found_late_ends_it_with_one_line(
    run_with, capsys: pytest.CaptureFixture[str]
):
    code, _ = run_with(SettingError("CDB_DATA=x.csv\ncannot be read"))
    assert code == EXIT_REFUSED
    assert capsys.readouterr().err == "cdb_core: CDB_DATA=x.csv cannot be read\n"


def test_a_defect_ends_it_so_that_a_supervisor_starts_it_again(run_with):
    code, _ = run_with(ZeroDivisionError("a defect"))
    assert code == EXIT_CRASHED


def test_the_status_has_state_and_settings_without_secrets(run_with):
    _, worker = run_with()
    status = worker.shell.status(worker)
    assert status["runs"] == 1
    assert status["waiting_for"] is None
    assert ENVIRONMENT["REDIS_PASSWORD_CDB_CORE"] not in json.dumps(status)
