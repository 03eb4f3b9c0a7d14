"""The ten containers: all there, all healthy, and each of them confined."""

import json
import re

import pytest

from tests.deadline import wait_until
from tests.e2e.stack import CONTAINERS, INSIDE_PORTS, SERVICES, Stack, StackError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

every_container = pytest.mark.parametrize("name", CONTAINERS)
every_service = pytest.mark.parametrize("name", SERVICES)

PUBLISHED_PORTS = {"cdb_paper_runner": 8004}
"""Where it is not the port of the health check: the console's."""


def test_the_configuration_is_clean(external: Stack) -> None:
    assert external.compose("config", "--quiet") == ""


def test_exactly_the_ten_containers_run(external: Stack) -> None:
    running = external.compose("ps", "--services", "--status", "running").split()

    assert sorted(running) == sorted(CONTAINERS)


@every_container
def test_a_container_is_healthy(external: Stack, name: str) -> None:
    wait_until(
        lambda: external.inspect(name)["State"]["Health"]["Status"] == "healthy",
        "docker sees it healthy",
    )
    assert external.inspect(name)["RestartCount"] == 0


@every_container
def test_a_container_cannot_write_its_root_filesystem(external: Stack, name: str) -> None:
    with pytest.raises(StackError, match="Read-only file system"):
        external.run_in(name, "touch", "/written")
    external.run_in(name, "touch", "/tmp/written")  # noqa: S108


@every_container
def test_a_container_has_no_privileges(external: Stack, name: str) -> None:
    status = external.run_in(name, "cat", "/proc/1/status")

    assert re.search(r"^CapEff:\s*0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s*0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
    assert not re.search(r"^Uid:\s*0\b", status, re.MULTILINE)


@every_container
def test_a_container_has_limits_and_starts_again_by_itself(external: Stack, name: str) -> None:
    host = external.inspect(name)["HostConfig"]

    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert {"max-size", "max-file"} <= set(host["LogConfig"]["Config"])


@every_container
def test_ports_are_open_to_this_machine_only(external: Stack, name: str) -> None:
    bindings = external.inspect(name)["HostConfig"]["PortBindings"] or {}

    for inside, published in bindings.items():
        assert inside == f"{PUBLISHED_PORTS.get(name, INSIDE_PORTS[name])}/tcp"
        assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}
    assert bool(bindings) == (name != "cdb_db_writer")


@every_container
def test_no_password_is_in_a_containers_environment_or_log(external: Stack, name: str) -> None:
    passwords = [value for key, value in external.env.items() if "PASSWORD" in key and value]
    environment = " ".join(external.inspect(name)["Config"]["Env"])
    log = external.logs(name, lines=100_000)

    assert passwords
    assert not any(password in environment for password in passwords)
    assert not any(password in log for password in passwords)


@every_service
def test_a_service_reports_itself(external: Stack, name: str) -> None:
    status, body = external.health(name)
    health = json.loads(body)
    assert (status, health["status"], health["service"]) == (200, "ok", name)
    assert health["version"]

    status, body = external.get(name, "/status")
    assert status == 200
    assert not any(
        value in body for key, value in external.env.items() if "PASSWORD" in key and value
    )


@every_service
def test_a_service_logs_json_lines(external: Stack, name: str) -> None:
    lines = [line.partition("|")[2] for line in external.logs(name, lines=50).splitlines()]

    assert lines
    for line in lines:
        assert json.loads(line)["event"]


def test_the_image_can_neither_compile_nor_install(external: Stack) -> None:
    for program in ("gcc", "cc", "make", "pip", "pip3"):
        with pytest.raises(StackError):
            external.run_in("cdb_core", "sh", "-c", f"command -v {program}")
    with pytest.raises(StackError, match="No module named pip"):
        external.run_in("cdb_core", "python", "-m", "pip", "--version")


@pytest.mark.parametrize("command", ["bench", "soak"])
def test_the_image_has_no_lab(external: Stack, command: str) -> None:
    with pytest.raises(StackError, match="is not in the container image: run it in a checkout"):
        external.run_in("cdb_core", "claire", command, "--help")
    with pytest.raises(StackError, match="No such file"):
        external.run_in("cdb_core", "ls", "/app/services/lab")
