"""Which running system a command speaks to: the embedded run of a home, or the compose stack."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import click

from services.cli.failure import Failure
from services.kernel.events import topics
from services.kernel.settings.model import SettingError
from services.runtime.bus.redis.acl import OPERATOR
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.embedded.home import Home
from services.runtime.settings.http_ports import HTTP_PORTS
from services.runtime.settings.layers import Layers
from services.runtime.settings.secrets import FROM_FILES, password_variable

Where = Literal["embedded", "compose"]
INTERNAL: Final = (topics.DB_WRITER, topics.PAPER_RUNNER)
"""Services of the compose stack whose ports this machine does not have."""
CONSOLE_PORT: Final = 8004
"""Of the console, which the container of the orchestrator publishes."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running system.

    Attributes:
        label: How to call it in messages.
        redis: The operator's way to its bus.
        services: Service name to the base URL of its HTTP server, where it can be reached.
        containers: Service name to its container, where its port is internal to the network.
        console: Base URL of the console, which passes on what these services answer.
    """

    label: str
    redis: RedisAddress
    services: Mapping[str, str]
    containers: Mapping[str, str] = field(default_factory=dict)
    console: str | None = None


on_option = click.option(
    "--on",
    "where",
    type=click.Choice(["embedded", "compose"]),
    help="Which system; without it the embedded run if one runs, else the compose stack.",
)
"""For every command that speaks to a running system."""


def find_target(where: Where | None) -> Target:
    """The system that runs.

    Raises:
        Failure: None is known; the message says how to start one.
    """
    home = Home.from_environment(os.environ)
    embedded = None if where == "compose" else embedded_target(home)
    if embedded is not None:
        return embedded
    if where == "embedded":
        raise Failure(f"no run uses {home.folder}; start one with `claire run-paper`")
    return compose_target()


def embedded_target(home: Home) -> Target | None:
    """The run of this home; None when none runs."""
    session = home.session()
    if session is None:
        return None
    variable = password_variable(OPERATOR)
    password = home.passwords((variable,))[variable]
    address = RedisAddress("127.0.0.1", session.redis_port, OPERATOR, password)
    return Target(f"the embedded run in {home.folder}", address, session.services)


def compose_target() -> Target:
    """The compose stack that the environment and .env describe."""
    values = environment_values()
    if "REDIS_PASSWORD" not in values:
        raise Failure(
            "no system to speak to: no embedded run (`claire run-paper` starts one), and"
            " REDIS_PASSWORD is not set (`claire up` writes .env and starts the containers)"
        )
    host = values.get("REDIS_HOST", "127.0.0.1")
    port = int(values.get("REDIS_HOST_PORT") or values.get("REDIS_PORT") or 6379)
    address = RedisAddress(host, port, OPERATOR, values["REDIS_PASSWORD"])
    services = {
        name: f"http://127.0.0.1:{values.get(_host_port_variable(name)) or HTTP_PORTS[name]}"
        for name in topics.SERVICES
        if name not in INTERNAL
    }
    prefix = values.get("CDB_CONTAINER_PREFIX", "")
    containers = {name: prefix + name for name in INTERNAL}
    port = int(values.get(_host_port_variable(topics.PAPER_RUNNER)) or CONSOLE_PORT)
    console = f"http://127.0.0.1:{port}"
    return Target(f"the compose stack ({address})", address, services, containers, console)


def compose_answers() -> bool:
    """Whether something listens where the environment and .env say that the stack's bus is."""
    if "REDIS_PASSWORD" not in environment_values():
        return False
    bus = compose_target().redis
    try:
        socket.create_connection((bus.host, bus.port), timeout=1.0).close()
    except OSError:
        return False
    return True


def environment_values() -> Mapping[str, str]:
    """The environment over .env, secrets read from their files.

    Raises:
        Failure: A secret's file cannot be read.
    """
    env_file = Path(os.environ.get("CDB_ENV_FILE") or ".env")
    try:
        layers = Layers.read(
            environ=os.environ, env_file=env_file, overrides={}, secrets=FROM_FILES
        )
    except SettingError as error:
        raise Failure(str(error)) from None
    return layers.values


def _host_port_variable(service: str) -> str:
    return f"{service.removeprefix('cdb_').upper()}_HOST_PORT"
