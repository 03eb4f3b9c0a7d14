"""The database's verbs: db migrate, db rebuild."""

import json

import click

from services.cli.confirmation import confirm, yes_option
from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.record_access import record_database
from services.cli.target import Where, on_option
from services.cli.terminal import say
from services.kernel.settings.model import SettingError
from services.persistence.rebuild import Rebuilt, WritersRunningError
from services.persistence.rebuild import rebuild as make_again
from services.runtime.database import migrations
from services.runtime.database.connections import DatabaseAwayError, DatabaseRefusedError
from services.runtime.settings import model as runtime_settings


@click.group()
def db() -> None:
    """The long-term record in PostgreSQL."""


@db.command(epilog="Example: claire db migrate")
@json_option
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
        say(json.dumps({"database": str(owner), "applied": names}))
        return
    say(f"{owner}: " + (f"applied {', '.join(names)}" if names else "up to date already"))


@db.command(epilog="Examples: claire db rebuild --check · claire db rebuild --yes")
@on_option
@click.option("--check", is_flag=True, help="Only compare; exit code 1 when a row differs.")
@yes_option
@json_option
@click.pass_context
def rebuild(ctx: click.Context, where: Where | None, check: bool, yes: bool, as_json: bool) -> None:
    """Make every table that follows from events and market_data again, and compare the rows.

    It asks first, and all happens in one transaction. The services that write these tables must
    not run; with --check they may, and nothing is written.
    """
    if not check:
        confirm("Replace every row of these tables by what the record makes?", yes=yes)
    try:
        with record_database(where, owner=True) as address:
            tables = make_again(address, keep=not check)
    except (DatabaseAwayError, DatabaseRefusedError, WritersRunningError) as error:
        raise Failure(str(error)) from None
    identical = all(table.identical for table in tables)
    if as_json:
        rows = {
            t.table: {"rows": t.rows, "only_before": t.only_before, "only_after": t.only_after}
            for t in tables
        }
        say(json.dumps({"identical": identical, "kept": not check, "tables": rows}))
    else:
        _show_tables(tables, identical=identical, check=check)
    ctx.exit(1 if check and not identical else 0)


def _show_tables(tables: list[Rebuilt], *, identical: bool, check: bool) -> None:
    for table in tables:
        text = "identical"
        if not table.identical:
            text = f"{table.only_before:,} rows were other, {table.only_after:,} are new"
        say(f"{table.table:<22} {table.rows:>10,} rows  {text}")
    if identical:
        say("the tables are what the record makes")
    elif check:
        say("the tables are not what the record makes; without --check they are made again")
    else:
        say("the tables were made again")
