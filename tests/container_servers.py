"""The same servers as containers: ``CDB_TEST_CONTAINERS=1`` runs the tests on the real images."""

import os
import secrets
from collections.abc import Mapping

import psycopg
import redis
from testcontainers.core.container import DockerContainer

from services.runtime.bus.redis import functions
from services.runtime.database.connections import DatabaseAddress
from services.runtime.embedded.process import free_port
from tests.deadline import wait_until

REDIS_IMAGE = os.environ.get("CDB_TEST_REDIS_IMAGE", "redis:7.4-alpine")
POSTGRES_IMAGE = os.environ.get("CDB_TEST_POSTGRES_IMAGE", "postgres:16-alpine")


def wanted() -> bool:
    """Whether the tests are to run on containers."""
    return os.environ.get("CDB_TEST_CONTAINERS") == "1"


class _Container:
    """A server in a container that keeps its port when it is stopped and started again."""

    host = "127.0.0.1"

    def __init__(self, container: DockerContainer, inner_port: int) -> None:
        self.port = free_port()
        self.pid: int | None = None
        # with_bind_ports cannot name an address, and would open the port to the network.
        container.ports[f"{inner_port}/tcp"] = (self.host, self.port)  # type: ignore[assignment]
        self._container = container
        self._created = False

    def start(self) -> object:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        wait_until(self._answers, f"{type(self).__name__} is ready")
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        self.pid = int(wrapped.attrs["State"]["Pid"])
        return self

    def stop(self) -> None:
        self.pid = None
        self._container.get_wrapped_container().stop(timeout=20)

    def kill(self) -> None:
        self.pid = None
        wrapped = self._container.get_wrapped_container()
        wrapped.kill()
        wrapped.wait(timeout=20)

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def unpause(self) -> None:
        self._container.get_wrapped_container().unpause()

    def remove(self) -> None:
        self._container.stop()

    def _answers(self) -> bool:
        raise NotImplementedError


class ContainerRedis(_Container):
    """Redis with access rules and durability as in the compose file."""

    def __init__(self, acl_text: str, probe: tuple[str, str]) -> None:
        users = [part for line in acl_text.splitlines() for part in _user_arguments(line)]
        command = [
            *("redis-server", "--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory", "1gb", "--maxmemory-policy", "noeviction"),
            *("--busy-reply-threshold", "1000", *users),
        ]
        super().__init__(DockerContainer(REDIS_IMAGE).with_command(command), 6379)
        self._probe = probe

    def _answers(self) -> bool:
        user, password = self._probe
        client = redis.Redis(
            host=self.host, port=self.port, username=user, password=password, socket_timeout=2
        )
        try:
            client.function_load(functions.library(), replace=True)
        except redis.RedisError:
            return False
        else:
            return True
        finally:
            client.close()


class ContainerPostgres(_Container):
    """PostgreSQL with owner and database as in the compose file."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._password = secrets.token_urlsafe(16)
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_USER", "claire_user")
            .with_env("POSTGRES_DB", "claire_de_binare")
            .with_env("POSTGRES_PASSWORD", self._password)
            .with_command(["postgres", *flags])
        )
        super().__init__(container, 5432)

    @property
    def address(self) -> DatabaseAddress:
        return DatabaseAddress(
            self.host, self.port, "claire_de_binare", "claire_user", self._password
        )

    def _answers(self) -> bool:
        address = self.address
        try:
            psycopg.connect(
                host=address.host, port=address.port, dbname=address.database,
                user=address.user, password=address.password, connect_timeout=3,
            ).close()  # fmt: skip
        except psycopg.OperationalError:
            return False
        return True


def _user_arguments(line: str) -> list[str]:
    words = line.split()
    return ["--user", *words[1:]] if words[:1] == ["user"] else []
