"""Real servers for tests: a Redis with the system's access rules, a PostgreSQL with its schema."""

import os
import secrets
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from services.runtime.bus.redis import acl
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.connections import DatabaseAddress
from services.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
from tests import container_servers
from tests.container_servers import ContainerPostgres, ContainerRedis

ADMIN = "test_admin"
TEMPLATE = "claire_template"
needs_signals = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="a server is frozen by signals of Linux"
)


class RedisServer:
    """The session's Redis, as a test uses it.

    ``address("cdb_ws")`` gives a service's own rights, ``address("operator")`` a person's,
    ``admin()`` a client that may do everything (no service has that).
    """

    def __init__(self, home: Path) -> None:
        self.passwords: Mapping[str, str] = {
            user: secrets.token_urlsafe(16) for user in (*acl.USERS, ADMIN)
        }
        rules = acl.render({user: self.passwords[user] for user in acl.USERS})
        admin_rule = f"user {ADMIN} on >{self.passwords[ADMIN]} ~* &* +@all"
        acl_text = f"{rules.rstrip()}\n{admin_rule}\n"
        self.embedded: EmbeddedRedis | ContainerRedis
        if container_servers.wanted():
            self.embedded = ContainerRedis(acl_text, (ADMIN, self.passwords[ADMIN]))
        else:
            self.embedded = EmbeddedRedis(home, acl_text)

    @property
    def host(self) -> str:
        return self.embedded.host

    @property
    def port(self) -> int:
        return self.embedded.port

    def address(self, user: str) -> RedisAddress:
        """How ``user`` (a service, ``operator``, ``recovery``) connects."""
        return RedisAddress(self.host, self.port, user, self.passwords[user])

    def admin(self) -> "redis.Redis":
        """A client without limits, to arrange and to look."""
        return redis.Redis(
            host=self.host,
            port=self.port,
            username=ADMIN,
            password=self.passwords[ADMIN],
            socket_timeout=10,
        )

    def start(self) -> None:
        """Bring it back, on its port, after ``stop`` or ``kill``."""
        if self.embedded.pid is None:
            self.embedded.start()

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self.embedded.stop()

    def kill(self) -> None:
        """SIGKILL it."""
        self.embedded.kill()

    def close(self) -> None:
        """Stop it for good."""
        _close(self.embedded)

    def memory(self) -> dict[bytes, bytes]:
        """Everything that it holds at one moment, although services publish meanwhile."""
        with self.admin() as client:
            keys = list(client.scan_iter())
            pipe = client.pipeline(transaction=True)
            for key in keys:
                pipe.dump(key)
            return {
                key: value
                for key, value in zip(keys, pipe.execute(), strict=True)
                if value is not None
            }

    def go_back(self, memory: Mapping[bytes, bytes]) -> None:
        """Hold what it held once, as after a start without its last second."""
        with self.admin() as client:
            for key in client.scan_iter():
                client.delete(key)
            for key, value in memory.items():
                client.restore(key, 0, value)

    def reset(self) -> None:
        """Running and empty, for the next test."""
        self.start()
        with self.admin() as client:
            client.client_kill_filter(_type="pubsub", skipme=True)
            client.client_kill_filter(_type="normal", skipme=True)
            client.flushall()


class PostgresServer:
    """The session's PostgreSQL with a database of this test's own.

    ``address`` is the owner's; ``role("cdb_db_writer")`` a service role's; both of a database that
    has the schema of all migrations and no rows.
    """

    def __init__(self, cluster: "PostgresCluster", database: str) -> None:
        self._cluster = cluster
        self.database = database

    @property
    def address(self) -> DatabaseAddress:
        """The owner, ``claire_user``."""
        return self._cluster.address(self.database)

    def role(self, name: str) -> DatabaseAddress:
        """A service's role."""
        return self.address.as_user(name, self._cluster.role_passwords[name])

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """The owner's connection in autocommit mode, to arrange and to look."""
        with self._cluster.connection(self.database) as connection:
            yield connection

    def record_upto(self, seq: int) -> None:
        """Say that the record has come as far as ``seq``, for a test without the writer."""
        with self.connection() as connection:
            connection.execute(
                "INSERT INTO db_writer_cursor (seq, chain_hash, topic_seqs, state)"
                " VALUES (%s, %s, '{}', '')"
                " ON CONFLICT (only_row) DO UPDATE SET seq = excluded.seq",
                (seq, bytes(32)),
            )

    def query(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        with self.connection() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def start(self) -> None:
        """Bring it back, on its port, after ``stop`` or ``kill``."""
        self._cluster.start()

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self._cluster.embedded.stop()

    def kill(self) -> None:
        """SIGKILL it."""
        self._cluster.embedded.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For as long as the context lasts, it runs nothing; its system still takes what comes."""
        with self._cluster.frozen():
            yield


class PostgresCluster:
    """The session's server: one template with the schema, one copy of it per test."""

    def __init__(self, home: Path) -> None:
        # A test kills processes, never the machine's power: the page cache survives.
        settings = {"fsync": "off"}
        self.embedded: EmbeddedPostgres | ContainerPostgres
        if container_servers.wanted():
            self.embedded = ContainerPostgres(settings)
        else:
            self.embedded = EmbeddedPostgres(home, settings=settings)
        self.role_passwords: dict[str, str] = {}

    def start(self) -> None:
        if self.embedded.pid is None:
            self.embedded.start()

    def close(self) -> None:
        """Stop it for good."""
        _close(self.embedded)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        if isinstance(self.embedded, ContainerPostgres):
            self.embedded.pause()
            try:
                yield
            finally:
                self.embedded.unpause()
            return
        assert self.embedded.pid is not None
        stopped = [self.embedded.pid]
        os.kill(self.embedded.pid, signal.SIGSTOP)
        try:
            stopped += _children(self.embedded.pid)
            for pid in stopped[1:]:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    def address(self, database: str) -> DatabaseAddress:
        owner = self.embedded.address
        return DatabaseAddress(owner.host, owner.port, database, owner.user, owner.password)

    @contextmanager
    def connection(self, database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        address = self.address(database)
        with psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password,
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            yield connection

    @contextmanager
    def fresh_database(self, template: str) -> Iterator[PostgresServer]:
        """A new database made from ``template``, dropped at the end."""
        self.start()
        name = f"claire_{uuid.uuid4().hex[:12]}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        with self.connection("postgres") as connection:
            connection.execute(create)
        try:
            yield PostgresServer(self, name)
        finally:
            self.start()
            with self.connection("postgres") as connection:
                connection.execute(drop)


def _children(parent: int) -> list[int]:
    """The processes that a process has started, on Linux."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state ppid ...; the name may hold anything.
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _close(server: EmbeddedRedis | EmbeddedPostgres | ContainerRedis | ContainerPostgres) -> None:
    if isinstance(server, ContainerRedis | ContainerPostgres):
        server.remove()
    else:
        server.stop()
