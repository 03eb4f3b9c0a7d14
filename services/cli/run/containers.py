"""The compose stack's verbs: init, up, down."""

import json
from pathlib import Path

import click

from services.cli.confirmation import confirm, yes_option
from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.record_access import compose_database
from services.cli.run.compose_project import DATABASE_VOLUME, ComposeProject
from services.cli.target import environment_values
from services.cli.terminal import say
from services.runtime.database.connections import (
    DatabaseAwayError,
    DatabaseRefusedError,
    connect_to_read,
)
from services.runtime.embedded.postgres_server import DATABASE, OWNER
from services.runtime.settings.secrets import EnvFileError, GeneratedEnv, generate_env


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
    """Start the ten containers; writes .env on first use.

    Waits until every container is healthy. One that stays unhealthy for the same reason, such as
    an exchange that cannot be reached, ends the wait with exit code 1; the containers go on.
    """
    project = ComposeProject.here()
    project.require_ours()
    project.require_passwords(made_already=_has_database_password())
    made = _generate(Path(".env"))
    if made.created:
        say(f"{made.path}: written with {len(made.generated)} generated passwords")
    project.run("up", "-d", *(["--build"] if build else []))
    _check_database_password(project)
    unhealthy = project.wait_healthy(lambda line: say(f"  {line}", err=True)) if wait else {}
    if unhealthy:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unhealthy.items())
        raise Failure(
            f"the containers run, and {len(unhealthy)} are not healthy: {reasons}. They keep"
            " trying; `claire status` shows them, `docker compose logs NAME` has more"
        )
    say("running; `claire status` shows it, `claire down` stops it")


@click.command(epilog="Examples: claire down · claire down --volumes --yes")
@click.option("--volumes", is_flag=True, help="Remove the data too: journal, database, dashboards.")
@yes_option
def down(volumes: bool, yes: bool) -> None:
    """Stop the containers; their data stays."""
    project = ComposeProject.here()
    project.require_ours()
    if volumes:
        names = ", ".join(project.volumes.values())
        confirm(f"Remove all data of {project.name} for good ({names})?", yes=yes)
    project.run("down", *(["--volumes"] if volumes else []))


def _generate(env_file: Path) -> GeneratedEnv:
    try:
        return generate_env(env_file)
    except EnvFileError as error:
        raise Failure(str(error)) from None


def _has_database_password() -> bool:
    return bool(environment_values().get("POSTGRES_PASSWORD"))


def _check_database_password(project: ComposeProject) -> None:
    """A volume keeps the password that it was made with, whatever .env says later.

    Raises:
        Failure: The database refuses the password.
    """
    address = compose_database(OWNER)
    try:
        connect_to_read(address, application="claire").close()
    except DatabaseAwayError:
        return  # not reachable from here: its container's health is what counts
    except DatabaseRefusedError as error:
        if "authentication failed" not in str(error):
            return
        volume = project.volumes.get(DATABASE_VOLUME, DATABASE_VOLUME)
        raise Failure(
            f"the database in the volume {volume} refuses POSTGRES_PASSWORD of .env: it was made"
            " with another one. Bring back the .env and secrets/ that it was made with, or give the"
            f" database this one: docker compose exec cdb_postgres psql -U {OWNER} -d {DATABASE}"
            f" -c '\\password', or remove its data: claire down --volumes"
        ) from None
