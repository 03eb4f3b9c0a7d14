"""The web console of a running system: console."""

import os

import click

from services.cli.failure import Failure
from services.cli.record_access import record_database
from services.cli.target import Where, environment_values, find_target, on_option
from services.cli.terminal import say
from services.console.server import serve
from services.console.sources import DeskSources
from services.runtime.embedded.home import Home
from services.runtime.settings.secrets import CONSOLE_TOKEN


@click.command(epilog="Examples: claire console · claire console --port 9000 --on compose")
@on_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8010, show_default=True, help="TCP port."
)
def console(where: Where | None, host: str, port: int) -> None:
    """Open the web console of a running system: state, charts, decisions, record, actions.

    Ends with Ctrl-C. Reading needs no login; actions ask for the console token.
    """
    target = find_target(where)
    token, place = _token(where)
    with record_database(where) as database:
        sources = DeskSources(target.label, target.redis, database, target.services, token, place)
        say(f"console of {target.label}: http://{host}:{port}/")
        say(f"actions ask for a token: {place}")
        serve(sources, host, port)


def _token(where: Where | None) -> tuple[str, str]:
    """The token, and where a person finds it."""
    home = Home.from_environment(os.environ)
    if where != "compose" and home.session() is not None:
        kept = home.passwords((CONSOLE_TOKEN,))
        return kept[CONSOLE_TOKEN], f"{CONSOLE_TOKEN} in {home.folder / 'passwords.json'}"
    token = environment_values().get(CONSOLE_TOKEN)
    if not token:
        raise Failure(f"{CONSOLE_TOKEN} is not set; `claire init` writes it into .env")
    return token, f"{CONSOLE_TOKEN} in .env"
