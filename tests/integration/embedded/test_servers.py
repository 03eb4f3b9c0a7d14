"""Embedded servers: durable, private, and gone when they should be."""

import os
import signal
import subprocess
import sys
import textwrap
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
import redis

from services.runtime.bus.redis import functions
from services.runtime.bus.redis.connection import Connection
from services.runtime.database.connections import DatabaseAwayError, connect
from services.runtime.embedded import EmbeddedPostgres, EmbeddedRedis, EmbeddedServerError
from services.runtime.embedded.process import ServerProcess
from tests.deadline import wait_until

pytestmark = pytest.mark.integration

PASSWORD = "a password of the test"  # noqa: S105
ACL = f"user default on #{sha256(PASSWORD.encode()).hexdigest()} ~* &* +@all"


def _client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis(port=server.port, password=PASSWORD, socket_timeout=5)


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # dead; only its new parent has not asked yet


def test_redis_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, ACL) as server:
        with _client(server) as client:
            client.set("kept", "yes")
        server.kill()
        server.start()
        with _client(server) as client:
            assert client.get("kept") == b"yes"


def test_redis_is_configured_to_refuse_rather_than_to_forget(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, ACL) as server, _client(server) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert int(client.config_get("maxmemory")["maxmemory"]) > 0
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, socket_timeout=5).ping()


def test_redis_without_a_rule_for_the_default_user_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="user default"):
        EmbeddedRedis(tmp_path, "user somebody on nopass")


def test_a_bad_access_rule_is_reported_with_the_log(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"refuses its functions or users: .*ACL errors"):
        EmbeddedRedis(tmp_path, f"{ACL}\nuser somebody nonsense").start()


def test_postgres_keeps_its_data_between_runs(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server, connect(server.address, application="test") as c:
        c.execute("CREATE TABLE kept AS SELECT 1 AS one")
    with EmbeddedPostgres(tmp_path) as server, connect(server.address, application="test") as c:
        assert c.execute("SELECT * FROM kept").fetchall() == [(1,)]
        assert c.execute("SHOW fsync").fetchone() == ("on",)
        assert c.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_postgres_that_is_stopped_is_away(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        address = server.address
    with pytest.raises(DatabaseAwayError):
        connect(address, application="test")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_postgres_started_by_root_serves_a_home_closed_to_others(tmp_path: Path) -> None:
    home = tmp_path / "closed" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    with EmbeddedPostgres(home) as server:
        with connect(server.address, application="test") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        server.kill()
        server.start()
        with connect(server.address, application="test") as connection:
            assert connection.execute("SELECT * FROM kept").fetchall() == [(1,)]
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_redis_lets_nobody_in_before_its_functions_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, refused = EmbeddedRedis(tmp_path, ACL), []
    load = functions.load

    def watched(connection: Connection) -> None:
        with _client(server) as client:
            try:
                client.ping()
            except redis.AuthenticationError as error:
                refused.append((functions.loaded(connection), str(error)))
        load(connection)

    monkeypatch.setattr(functions, "load", watched)
    with server:
        with _client(server) as client:
            [library] = client.function_list()
            assert library[1] == b"cdb"
            users = client.acl_list()
        # Those of an earlier life of the server are loaded with its data, and nobody is let in yet.
        server.stop()
        server.start()
    assert [loaded for loaded, _ in refused] == ["none", functions.digest()]
    [supervisor] = [line for line in users if "supervisor" in line]
    assert "function" not in supervisor
    assert "acl" not in supervisor


def test_redis_that_refuses_the_functions_is_stopped_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "library", lambda: "#!lua name=cdb\nno Lua")
    server = EmbeddedRedis(tmp_path, ACL)
    with pytest.raises(EmbeddedServerError, match="refuses its functions or users"):
        server.start()
    assert server.pid is None


def test_a_lost_password_is_named(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    (tmp_path / "postgres.password").unlink()
    with pytest.raises(EmbeddedServerError, match=r"postgres\.password.*--fresh"):
        EmbeddedPostgres(tmp_path).start()


def test_a_home_in_use_is_refused(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, ACL):
        second = ServerProcess("redis", tmp_path, tmp_path / "x.log", ())
        with pytest.raises(EmbeddedServerError, match="another run uses this home"):
            second.lock(timeout=0.1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_killing_the_parent_takes_the_servers_along(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from services.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
        home = Path({str(tmp_path)!r})
        with EmbeddedRedis(home, {ACL!r}) as r, EmbeddedPostgres(home) as p:
            print(r.pid, p.pid, flush=True)
            time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.stdout.close()
    parent.send_signal(signal.SIGKILL)
    parent.wait(timeout=10)

    wait_until(lambda: all(_gone(pid) for pid in pids), "the servers die with their parent")

    with EmbeddedPostgres(tmp_path) as again, connect(again.address, application="test") as c:
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_unusable_password_never_reaches_the_environment(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        text = Path(f"/proc/{server.pid}/environ").read_bytes() if server.pid else b""
        assert server.address.password.encode() not in text
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(
                host=server.host, port=server.port, dbname="claire_de_binare", user="claire_user",
                password="", connect_timeout=5,
            )  # fmt: skip
