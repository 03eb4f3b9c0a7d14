"""The market and the settings that a command's options choose, checked before anything starts."""

from pathlib import Path

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.markets import open_market
from services.cdb_ws.sources.synthetic import START_MS
from services.cli.failure import BadInput, Failure
from services.cli.target import environment_values
from services.kernel.settings.model import SettingError
from services.runtime.settings import model as runtime_settings
from services.runtime.settings.model import Settings

OPTIONS = (
    "CDB_SOURCE",
    "CDB_SPEED",
    "CDB_DATA",
    "CDB_INSTRUMENTS",
    "CDB_SEED",
    "CDB_DURATION",
    "CDB_HOLD_AT",
    "SYMBOL_WHITELIST",
    "CDB_CACHE_DIR",
    "RECORD",
    "RECORD_DIR",
)
"""Variables that this command's options decide."""


def check_combination(source: str, files: tuple[Path, ...], instruments: Path | None) -> None:
    """Refuse files where the source has none, and files that do not exist.

    Raises:
        BadInput: With what to write instead.
    """
    if source == "replay" and not files:
        raise BadInput("--source replay needs a file: give --data FILE")
    if source != "replay" and (files or instruments):
        raise BadInput(f"--data and --instruments are for --source replay, not {source}")
    missing = [path for path in (*files, instruments) if path and not path.exists()]
    if missing:
        raise BadInput(f"there is no file {missing[0]}; check the path")


def load(given: dict[str, str]) -> Settings:
    """The settings that environment, .env and the command's options make together.

    Raises:
        Failure: One cannot be used, or two contradict each other.
    """
    try:
        settings = runtime_settings.load(environ=effective({}), env_file=None, overrides=given)
        runtime_settings.refuse_contradictions(settings)
    except SettingError as error:
        raise Failure(str(error)) from None
    return settings


def effective(given: dict[str, str]) -> dict[str, str]:
    """All that shapes the run, so that the services need neither .env nor our environment.

    What has an option of its own is never taken from there: a CDB_DATA that is meant for the
    containers must not end up in this run.
    """
    values = environment_values()
    names = runtime_settings.known_names() - set(runtime_settings.SECRETS)
    kept = {name: value for name, value in values.items() if name in names}
    for name in OPTIONS:
        kept.pop(name, None)
    return kept | given


def first_tick(settings: Settings) -> int | None:
    """When the market begins; also finds what is wrong with a replay's files, before the start."""
    if settings.cdb_source == "synthetic":
        return START_MS
    if settings.cdb_source != "replay":
        return None
    try:
        return open_market(settings.cdb_data, "", settings.cdb_instruments).first_timestamp
    except DataError as error:
        raise Failure(str(error)) from None
