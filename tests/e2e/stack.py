"""The compose stack as a test sees it: commands, ports, passwords. Nothing of its insides."""

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from dotenv import dotenv_values

from services.runtime.embedded.process import free_port
from services.runtime.settings.secrets import generate_env
from tests.deadline import wait_until

ROOT = Path(__file__).parents[2]
PROJECT = os.environ.get("CDB_E2E_PROJECT", "cdbe2e")
"""What the compose projects' names begin with; several checkouts may share one engine."""
INSIDE_PORTS = {
    "cdb_redis": 6379,
    "cdb_postgres": 5432,
    "cdb_prometheus": 9090,
    "cdb_grafana": 3000,
    "cdb_ws": 8000,
    "cdb_core": 8001,
    "cdb_risk": 8002,
    "cdb_execution": 8003,
    "cdb_paper_runner": 8006,
    "cdb_db_writer": 8005,
}
CONTAINERS = tuple(INSIDE_PORTS)
SERVICES = CONTAINERS[4:]
INTERNAL = ("cdb_db_writer", "cdb_paper_runner")
"""Services that have no port of their own on this machine; the runner's is the console's."""
SIM = "cdb_sim"
"""The fake exchange, which starts with its profile only."""

UP_TIMEOUT_S = 600
"""The first build fetches packages; afterwards it is seconds."""
HEALTHY_WITHIN_S = 300


class StackError(RuntimeError):
    """A docker command failed; with what it said."""


def docker(*arguments: str, timeout: float = 60, **environment: str) -> str:
    """Run docker; its standard output.

    Raises:
        StackError: It failed.
    """
    program = shutil.which("docker")
    if program is None:
        raise StackError("docker is not on the PATH: the e2e tests need a Docker engine")
    done = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise StackError(f"docker {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


class Stack:
    """One compose project of its own: own names, ports, passwords and volumes.

    Args:
        name: Compose project; also in front of the containers' names.
        folder: For its .env and secrets.
        settings: Variables that differ from .env.example.
    """

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self._env_file = folder / ".env"
        generate_env(self._env_file, secrets_dir=folder / "secrets")
        self.env = {k: v or "" for k, v in dotenv_values(self._env_file).items()}
        published = {
            f"{name.removeprefix('cdb_').upper()}_HOST_PORT": str(free_port())
            for name in (*CONTAINERS, SIM)
            if name != "cdb_db_writer"
        }
        self._environment = {
            "CDB_CONTAINER_PREFIX": f"{name}_",
            "CDB_SECRETS_DIR": str(folder / "secrets"),
            **published,
            **settings,
        }

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        """Run docker compose on this project; what it printed."""
        return docker(
            *("compose", "-p", self.name, "--env-file", str(self._env_file), *arguments),
            timeout=timeout,
            **self._environment,
        )

    @property
    def command_environment(self) -> dict[str, str]:
        """What makes a command of this machine speak to this stack."""
        own = {"COMPOSE_PROJECT_NAME": self.name, "CDB_ENV_FILE": str(self._env_file)}
        return self._environment | own | {"CLAIRE_HOME": str(self._env_file.parent / "no-home")}

    def up(self) -> None:
        """Build, start, and wait until all are healthy; on a busy machine some begin red."""
        try:
            self.compose("up", "-d", "--build", timeout=UP_TIMEOUT_S)
            wait_until(lambda: not self._unhealthy(), "all are healthy", HEALTHY_WITHIN_S, 1.0)
        except (StackError, AssertionError) as error:
            last_line = str(error).strip().splitlines()[-1]
            found = "\n".join(self._symptoms(name) for name in self._unhealthy())
            raise StackError(f"{last_line}\n{found}") from None

    def _unhealthy(self) -> list[str]:
        lines = self.compose("ps", "-a", "--format", "json").splitlines()
        states = (json.loads(line) for line in lines)
        return [state["Service"] for state in states if state["Health"] != "healthy"]

    def _symptoms(self, name: str) -> str:
        checks = self.inspect(name)["State"].get("Health", {}).get("Log") or [{"Output": ""}]
        return f"{name}: {checks[-1]['Output'].strip()}\n{self.logs(name, lines=15)}"

    def remove(self) -> None:
        """Stop and remove everything, volumes included."""
        self.compose("down", "--volumes", "--timeout", "15", timeout=180)

    def logs(self, container: str | None = None, lines: int = 40) -> str:
        """The last lines of the log of one container, or of all."""
        chosen = (container,) if container else ()
        return self.compose("logs", "--no-color", "--tail", str(lines), *chosen)

    @property
    def console(self) -> str:
        """Address of the web console."""
        return f"http://127.0.0.1:{self.port('cdb_paper_runner')}"

    def container(self, name: str) -> str:
        """The container's full name."""
        return f"{self.name}_{name}"

    def inspect(self, name: str) -> dict[str, Any]:
        """What docker says about a container."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container(name)))
        return found[0]

    def run_in(self, name: str, *command: str) -> str:
        """Run a command inside a container."""
        return docker("exec", self.container(name), *command)

    def stop(self, name: str) -> None:
        """Stop a container; it stays stopped."""
        self.compose("stop", "--timeout", "15", name)

    def start(self, name: str) -> None:
        """Start a stopped container, and none of those that it needs (compose would)."""
        docker("start", self.container(name))

    def kill_process(self, name: str) -> None:
        """SIGKILL a container's main process, from beside it: after a ``docker kill`` docker does
        not start it again.
        """
        state = self.inspect(name)["State"]
        kill = f"import os; os.kill({state['Pid']}, 9)"
        image = self.inspect("cdb_core")["Config"]["Image"]
        docker("run", "--rm", "--pid", "host", "--user", "0", image, "python", "-c", kill)

    def port(self, name: str) -> int:
        """The container's port on this machine."""
        return int(self._environment[f"{name.removeprefix('cdb_').upper()}_HOST_PORT"])

    def get(self, name: str, path: str, user: str | None = None) -> tuple[int, str]:
        """GET from a container's HTTP server: status (0 without an answer) and body.

        Args:
            name: Container.
            path: With its query.
            user: ``name:password`` for basic authentication.
        """
        if name in INTERNAL:
            return self._get_inside(name, path)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port(name)}{path}")
        if user is not None:
            token = base64.b64encode(user.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def _get_inside(self, name: str, path: str) -> tuple[int, str]:
        script = (
            "import http.client, sys; port, path = sys.argv[1:];"
            " connection = http.client.HTTPConnection('127.0.0.1', int(port), timeout=5);"
            " connection.request('GET', path); answer = connection.getresponse();"
            " print(answer.status, answer.read().decode())"
        )
        try:
            status, _, body = self.run_in(
                name, "python", "-c", script, str(INSIDE_PORTS[name]), path
            ).partition(" ")
        except StackError as error:
            return 0, str(error)
        return int(status), body

    def health(self, name: str) -> tuple[int, str]:
        """Status and body of a service's /health."""
        return self.get(name, "/health")

    def query(self, statement: str, role: str = "claire_user") -> list[tuple[Any, ...]]:
        """Rows from PostgreSQL, as a role sees them."""
        suffix = "" if role == "claire_user" else f"_{role.upper()}"
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port("cdb_postgres"),
            dbname="claire_de_binare",
            user=role,
            password=self.env[f"POSTGRES_PASSWORD{suffix}"],
            connect_timeout=5,
        ) as connection:
            return connection.execute(statement.encode()).fetchall()

    def one(self, statement: str) -> Any:
        """The only value of the only row."""
        return self.query(statement)[0][0]

    @contextmanager
    def bus(self, user: str = "operator", *, decoded: bool = True) -> Iterator["redis.Redis"]:
        """A client of the bus with a user's rights; its replies are texts if `decoded`."""
        suffix = "" if user == "operator" else f"_{user.upper()}"
        client = redis.Redis(
            host="127.0.0.1",
            port=self.port("cdb_redis"),
            username=user,
            password=self.env[f"REDIS_PASSWORD{suffix}"],
            socket_timeout=10,
            decode_responses=decoded,
        )
        try:
            yield client
        finally:
            client.close()

    def prometheus(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        status, body = self.get(
            "cdb_prometheus", f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        )
        assert status == 200, f"{query}: {status} {body}"
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return result
