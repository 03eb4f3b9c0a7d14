"""Fixtures that every test may use: real servers, started once, empty for each test."""

import os
import secrets
import sys
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.servers import TEMPLATE, PostgresCluster, PostgresServer, RedisServer

# Where byte code is not kept, each of the hundreds of processes that tests start compiles all of
# it, and pytest rewrites every assertion at every run: most of the processor time of a suite.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# One worker takes these files: they share a recorded run, which is dear to make.
SHARE_A_RUN = (
    "test_account_commands.py",
    "test_proof_commands.py",
    "test_question_commands.py",
    "test_report.py",
)


class _Files(LoadFileScheduling):  # type: ignore[misc]
    """A worker takes a file, or all files that share what is dear to make."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "the recorded run" if file.endswith(SHARE_A_RUN) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return _Files(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def redis_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_server(redis_session: RedisServer) -> RedisServer:
    """A running, empty Redis with the access rules of the system."""
    redis_session.reset()
    return redis_session


@pytest.fixture(scope="session")
def postgres_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    cluster = PostgresCluster(tmp_path_factory.mktemp("postgres"))
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_session: PostgresCluster) -> str:
    """Name of a database that has the schema; copying it is faster than migrating each time."""
    from services.runtime.database import migrations  # noqa: PLC0415 - only these tests need it

    postgres_session.role_passwords = {
        role: secrets.token_urlsafe(16) for role in migrations.SERVICE_ROLES
    }
    with postgres_session.connection("postgres") as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    migrations.migrate(
        postgres_session.address(TEMPLATE), role_passwords=postgres_session.role_passwords
    )
    return TEMPLATE


@pytest.fixture
def postgres_server(
    postgres_session: PostgresCluster, postgres_template: str
) -> Iterator[PostgresServer]:
    """A running PostgreSQL with a database of this test's own: the schema, no rows."""
    with postgres_session.fresh_database(postgres_template) as server:
        yield server


@pytest.fixture
def empty_postgres(postgres_session: PostgresCluster) -> Iterator[PostgresServer]:
    """As ``postgres_server``, before the first migration."""
    with postgres_session.fresh_database("template0") as server:
        yield server
