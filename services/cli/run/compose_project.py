"""The compose project of this folder: whose its containers and data are, and how they are."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.cli.failure import Failure
from services.cli.look.container_health import seen
from services.explain.printable import one_line

COMPOSE_FILE: Final = Path("docker-compose.yml")
DATABASE_VOLUME: Final = "postgres_data"
ASK_TIMEOUT_S: Final = 30.0
STEADY_S: Final = 20.0
"""A service that has given the same reason for so long is not about to become healthy."""
LONGEST_S: Final = 300.0
LONGEST_REASON: Final = 300
_WORKING_DIR: Final = "com.docker.compose.project.working_dir"
_OWN_PROJECT: Final = (
    "set COMPOSE_PROJECT_NAME, CDB_CONTAINER_PREFIX and other *_HOST_PORT values in .env"
)


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """The project that the compose file here stands for.

    Attributes:
        docker: Path of the command.
        name: Of the project.
        volumes: Their full names, by their names in the file.
    """

    docker: str
    name: str
    volumes: Mapping[str, str]

    @classmethod
    def here(cls) -> "ComposeProject":
        """The project of the present folder.

        Raises:
            Failure: There is no Docker, or no compose file; with the remedy.
        """
        docker = shutil.which("docker")
        if docker is None:
            raise Failure(
                "docker is not on the PATH; install Docker Desktop (Windows, macOS) or Docker"
                " Engine, or trade without it: claire run-paper"
            )
        if not COMPOSE_FILE.exists():
            raise Failure(f"there is no {COMPOSE_FILE} here; run this in the project's folder")
        found = json.loads(_asked(docker, "compose", "config", "--format", "json"))
        volumes = {name: given["name"] for name, given in found.get("volumes", {}).items()}
        return cls(docker, found["name"], volumes)

    def run(self, *arguments: str) -> None:
        """Run a command of compose, its output on the terminal.

        Raises:
            Failure: It failed.
        """
        done = subprocess.run([self.docker, "compose", *arguments], check=False)  # noqa: S603
        if done.returncode != 0:
            raise Failure(
                f"docker compose {arguments[0]} failed with code {done.returncode}; its lines above"
                " say why, `claire doctor` checks ports, disk and engine"
            )

    def require_ours(self) -> None:
        """Check that the project's containers were made from this folder.

        Raises:
            Failure: They belong to another checkout, which is named; nothing was changed.
        """
        found = _asked(
            *(self.docker, "ps", "--all", "--no-trunc"),
            *("--filter", f"label=com.docker.compose.project={self.name}"),
            *("--format", f'{{{{.Label "{_WORKING_DIR}"}}}}'),
        )
        here = _comparable(str(Path.cwd()))
        for folder in sorted({line.strip() for line in found.splitlines()} - {""}):
            if _comparable(folder) != here:
                raise Failure(
                    f"the compose project {self.name} belongs to {folder}: its containers and data"
                    f" are that checkout's. To run a second one, {_OWN_PROJECT}. To move here, run"
                    f" `docker compose --project-name {self.name} down` and bring .env and secrets/"
                    " along"
                )

    def require_passwords(self, *, made_already: bool) -> None:
        """Check before passwords are generated that no data exists which has others.

        Args:
            made_already: This folder has its passwords.

        Raises:
            Failure: The database's volume exists, and its passwords are not here.
        """
        volume = self.volumes.get(DATABASE_VOLUME, "")
        if made_already or not volume:
            return
        names = _asked(self.docker, "volume", "ls", "--quiet", "--filter", f"name={volume}")
        if volume in names.split():
            raise Failure(
                f"the volume {volume} exists, and the passwords that it was made with are not in"
                " .env here. Bring .env and secrets/ of the checkout that made it; or"
                f" {_OWN_PROJECT}; or remove its data: docker volume rm {volume}"
            )

    def wait_healthy(self, report: Callable[[str], None]) -> dict[str, str]:
        """Wait until every container is healthy, or nothing changes any more.

        Args:
            report: Called with each reason why a container is not healthy yet, when it changes.

        Returns:
            The reason of each container that is not healthy; empty when all are.
        """
        before: dict[str, str] = {}
        began = steady_since = time.monotonic()
        while True:
            waiting = self.unhealthy()
            now = time.monotonic()
            if not waiting:
                return {}
            for name, reason in waiting.items():
                if _words(reason) != _words(before.get(name, "")):
                    report(f"{name}: {reason}")
                    steady_since = now
            if before.keys() - waiting.keys():
                steady_since = now
            settled = now - steady_since > STEADY_S
            if settled or now - began > LONGEST_S:
                return waiting
            before = waiting
            time.sleep(1.0)

    def unhealthy(self) -> dict[str, str]:
        """The project's containers that are not healthy, and why."""
        ids = _asked(
            *(self.docker, "ps", "--all", "--quiet"),
            *("--filter", f"label=com.docker.compose.project={self.name}"),
        ).split()
        containers = json.loads(_asked(self.docker, "inspect", *ids)) if ids else []
        return dict(sorted(filter(None, map(_unhealthy, containers))))


def _unhealthy(container: Mapping[str, Any]) -> tuple[str, str] | None:
    entry = seen("", container["State"])
    if entry["healthy"]:
        return None
    name = container["Config"]["Labels"].get("com.docker.compose.service", container["Name"])
    reason = one_line(str(entry["health"].get("reason", "not healthy")))
    return name, reason[:LONGEST_REASON]


def _words(reason: str) -> str:
    """The reason without its figures, which change from second to second."""
    return re.sub(r"[\d.,]+", "#", reason)


def _comparable(folder: str) -> str:
    return os.path.normcase(os.path.realpath(folder))


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"docker does not answer: {error}; `claire doctor` checks it") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"code {done.returncode}"
        raise Failure(f"{_called(command)} failed: {said}")
    return done.stdout


def _called(command: Sequence[str]) -> str:
    return " ".join(["docker", *command[1:3]])
