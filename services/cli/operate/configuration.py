"""The verb config: every setting with its value, where it came from, and its range."""

import json
from pathlib import Path

import click
from rich.table import Table

from services.cli.failure import BadInput, Failure
from services.cli.json_option import json_option
from services.cli.run.run_options import read_settings
from services.cli.terminal import say, wide_console
from services.kernel.settings.model import SettingError
from services.kernel.settings.parameters import ALL_SPECS
from services.runtime.settings import model as runtime_settings

_RANGES = {spec.name: spec.allowed for spec in ALL_SPECS}
DEFAULT_ENV_FILE = Path(".env")
_DEFAULTS = {spec.name: str(spec.default) for spec in ALL_SPECS}


@click.command(epilog="Examples: claire config · claire config --set STOP_LOSS_PCT=0.03 --json")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="As in run-paper.")
@click.option(
    "--env-file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_ENV_FILE,
    show_default=True,
)  # fmt: skip
@json_option
def config(assignments: tuple[str, ...], env_file: Path, as_json: bool) -> None:
    """Show every setting: value (secrets hidden), source, range, meaning."""
    if env_file != DEFAULT_ENV_FILE and not env_file.exists():
        raise BadInput(f"there is no file {env_file}; check the path of --env-file")
    try:
        settings = runtime_settings.load(env_file=env_file, overrides=read_settings(assignments))
    except SettingError as error:
        raise Failure(str(error)) from None
    if as_json:
        entries = {
            entry.name: {
                "value": entry.value,
                "source": entry.source,
                "default": _DEFAULTS.get(entry.name),
                "range": _RANGES.get(entry.name),
                "doc": entry.doc,
            }
            for entry in settings.provenance
        }
        say(json.dumps({"settings": entries, "warnings": settings.warnings}))
        return
    table = Table()
    for heading in ("setting", "value", "source", "range", "meaning"):
        table.add_column(heading, overflow="fold")
    for entry in settings.provenance:
        changed = "bold" if entry.source != "default" else ""
        table.add_row(
            entry.name, entry.value, entry.source, _RANGES.get(entry.name, ""), entry.doc,
            style=changed,
        )  # fmt: skip
    wide_console().print(table)
    for warning in settings.warnings:
        say(f"warning: {warning}", err=True)
