"""The database's verbs: db migrate."""

import json

import click

from services.cli.failure import Failure
from services.kernel.settings import SettingError
from services.runtime import migrations
from services.runtime import settings as runtime_settings
from services.runtime.database import DatabaseAwayError, DatabaseRefusedError


@click.group()
def db() -> None:
    """The long-term record in PostgreSQL."""


@db.command(epilog="Example: claire db migrate")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def migrate(as_json: bool) -> None:
    """Bring the database to this program's schema; safe to run twice and at the same time.

    POSTGRES_HOST, POSTGRES_PORT and POSTGRES_PASSWORD say which. An embedded run does it by
    itself, and so does cdb_db_writer when it starts.
    """
    try:
        settings = runtime_settings.load()
        owner = settings.database_address(settings.postgres_user)
        passwords = {
            role: settings.database_address(role).password
            for role in migrations.SERVICE_ROLES
            if getattr(settings, f"postgres_password_{role}") is not None
        }
        applied = migrations.migrate(owner, role_passwords=passwords)
    except (
        SettingError,
        DatabaseAwayError,
        DatabaseRefusedError,
        migrations.MigrationError,
    ) as error:
        raise Failure(str(error)) from None
    names = [f"{migration.version:04d}_{migration.name}" for migration in applied]
    if as_json:
        click.echo(json.dumps({"database": str(owner), "applied": names}))
        return
    click.echo(f"{owner}: " + (f"applied {', '.join(names)}" if names else "up to date already"))
