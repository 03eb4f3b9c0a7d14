"""The compose stack's verbs: init, up, down."""

import json
import shutil
import subprocess
from pathlib import Path

import click

from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.terminal import say
from services.runtime.settings.secrets import EnvFileError, GeneratedEnv, generate_env

COMPOSE_FILE = Path("docker-compose.yml")


@click.command(epilog="Example: claire init && docker compose up -d --wait")
@click.option(
    "--env-file", type=click.Path(path_type=Path, dir_okay=False), default=Path(".env"),
    show_default=True,
)  # fmt: skip
@json_option
def init(env_file: Path, as_json: bool) -> None:
    """Write .env with generated passwords; what is there already is kept."""
    made = _generate(env_file)
    if as_json:
        body = {"path": str(made.path), "created": made.created, "generated": made.generated}
        say(json.dumps(body))
    elif made.created or made.generated:
        say(f"{made.path}: {len(made.generated)} passwords generated; keep it private")
    else:
        say(f"{made.path}: complete already, nothing changed")


@click.command(epilog="Example: CDB_SOURCE=synthetic CDB_SPEED=60 claire up")
@click.option("--build/--no-build", default=True, show_default=True, help="Build the image.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until all are healthy.")
def up(build: bool, wait: bool) -> None:
    """Start the ten containers; writes .env on first use."""
    made = _generate(Path(".env"))
    if made.created:
        say(f"{made.path}: written with {len(made.generated)} generated passwords")
    flags = (["--build"] if build else []) + (["--wait"] if wait else [])
    _compose("up", "-d", *flags)
    say("running; `claire status` shows it, `claire down` stops it")


@click.command(epilog="Example: claire down")
@click.option("--volumes", is_flag=True, help="Remove the data too: journal, database, dashboards.")
def down(volumes: bool) -> None:
    """Stop the containers; their data stays."""
    _compose("down", *(["--volumes"] if volumes else []))


def _generate(env_file: Path) -> GeneratedEnv:
    try:
        return generate_env(env_file)
    except EnvFileError as error:
        raise Failure(str(error)) from None


def _compose(*arguments: str) -> None:
    docker = shutil.which("docker")
    if docker is None:
        raise Failure(
            "docker is not on the PATH; install Docker Desktop (Windows, macOS) or Docker Engine,"
            " or trade without it: claire run-paper"
        )
    if not COMPOSE_FILE.exists():
        raise Failure(f"there is no {COMPOSE_FILE} here; run this in the project's folder")
    done = subprocess.run([docker, "compose", *arguments], check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        raise Failure(
            f"docker compose {arguments[0]} failed with code {done.returncode}; its lines above say"
            " why, `claire doctor` checks ports, disk and engine"
        )
