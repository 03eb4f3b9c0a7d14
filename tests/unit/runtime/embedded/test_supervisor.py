"""Children are restarted, reported on, and never left behind."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from services.runtime.embedded.supervisor import ChildFailedError, Supervisor
from tests.deadline import wait_until

pytestmark = pytest.mark.unit


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(code))


SLEEPER = python("import time; print('up', flush=True); time.sleep(600)")


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_leaving_the_context_stops_every_child(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("one", SLEEPER, os.environ)
        supervisor.start("two", SLEEPER, os.environ)
        pids = list(supervisor.running.values())
        assert len(pids) == 2

    assert not any(alive(pid) for pid in pids)


def test_a_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.embedded.supervisor.STOP_SECONDS", 0.3)
    stubborn = python(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up", flush=True)
        time.sleep(600)
        """
    )
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("stubborn", stubborn, os.environ)
        wait_until(lambda: supervisor.last_line("stubborn").startswith("up"), "it is up")
        (pid,) = supervisor.running.values()

    assert not alive(pid)


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("worker", SLEEPER, os.environ)
        first = supervisor.running["worker"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not supervisor.running, "all have ended")

        (line,) = supervisor.watch()

        assert "worker ended with code -9 and was started again" in line
        assert supervisor.running["worker"] != first


def test_a_child_that_says_why_it_cannot_work_is_not_started_again(tmp_path: Path) -> None:
    broken = python("import sys; print('REDIS_HOST is not set'); sys.exit(1)")
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("broken", broken, os.environ)
        wait_until(lambda: not supervisor.running, "all have ended")

        with pytest.raises(ChildFailedError, match="broken ended with code 1: REDIS_HOST"):
            supervisor.watch()


def test_of_a_crash_the_error_is_reported_and_where_the_rest_is(tmp_path: Path) -> None:
    line = '{"event": "crashed", "level": "error", "exception": "Traceback\\n  x\\nKeyError: 5"}'
    (tmp_path / "crasher.log").write_text(f"started\n{line}\n", encoding="utf-8")
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("crasher", (*SLEEPER[:1], "-c", ""), os.environ)

        reported = supervisor.last_line("crasher")

    assert reported == f"crashed: KeyError: 5 (log: {tmp_path / 'crasher.log'})"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_children_do_not_survive_a_killed_parent(tmp_path: Path) -> None:
    parent = python(
        f"""
        import os, sys, time
        from pathlib import Path
        from services.runtime.embedded.supervisor import Supervisor
        supervisor = Supervisor(Path({str(tmp_path)!r}))
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        supervisor.start("child", sleeper, os.environ)
        print(supervisor.running["child"], flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen(parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait(10)

    wait_until(lambda: not alive(child), "the child is gone")
