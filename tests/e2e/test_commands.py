"""The command line against the stack: status, the account, and a second checkout."""

import shutil
import socket
from pathlib import Path

import pytest

from tests.deadline import wait_until
from tests.e2e.commands import claire, figures
from tests.e2e.stack import ROOT, SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_status_shows_every_service_the_writer_too(external: Stack) -> None:
    body = figures(external, "status")

    assert set(body["services"]) == set(SERVICES)
    writer = body["services"]["cdb_db_writer"]
    assert writer["healthy"] is True
    assert writer["health"]["status"] == "ok"
    assert body["trading"]["halt_reason"] is None


def test_status_shows_a_halt_with_its_first_reason_until_the_reset(external: Stack) -> None:
    try:
        for reason in ("first reason", "second reason"):
            assert claire(external, "halt", "--reason", reason, "--on", "compose").returncode == 0

        shown = wait_until(
            lambda: figures(external, "status")["trading"].get("halt_reason"),
            "the halt is shown",
        )
        assert "first reason" in shown
        assert (
            "HALTED: OPERATOR: operator: first reason"
            in claire(external, "status", "--on", "compose").stdout
        )
    finally:
        done = claire(external, "reset", "--reason", "looked at it", "--on", "compose")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "holds"), [("runs", "runs"), ("positions", "positions"), ("trades", "trades")]
)
def test_the_account_is_listed_from_the_stack_s_record(
    external: Stack, command: str, holds: str
) -> None:
    assert isinstance(figures(external, command)[holds], list)
    assert claire(external, command, "--on", "compose").returncode == 0


@pytest.mark.parametrize("command", [("up",), ("down", "--volumes", "--yes")])
def test_a_second_checkout_is_refused_and_the_first_one_named(
    external: Stack, tmp_path: Path, command: tuple[str, ...]
) -> None:
    for name in ("docker-compose.yml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)

    done = claire(external, *command, folder=tmp_path)

    assert done.returncode == 1
    assert f"the compose project {external.name} belongs to {ROOT}" in done.stderr
    assert not (tmp_path / ".env").exists()
    assert external.health("cdb_risk")[0] == 200


def test_600_half_open_connections_do_not_silence_health(external: Stack) -> None:
    half_open = []
    try:
        for _ in range(600):
            half_open.append(
                socket.create_connection(("127.0.0.1", external.port("cdb_risk")), timeout=30)
            )
            half_open[-1].sendall(b"GET /health HTTP/1.1\r\nHost:")
        assert [external.health("cdb_risk")[0] for _ in range(5)] == [200] * 5
    finally:
        for connection in half_open:
            connection.close()
