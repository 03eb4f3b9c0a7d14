"""The one typed settings model: read once at start, every value with its source."""

import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.kernel.events import topics
from services.kernel.settings.consistency import Inconsistency, inconsistencies
from services.kernel.settings.model import SettingError, SettingProblem, TradingSettings
from services.kernel.settings.parameters import ALIASES, ALL_SPECS
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.settings import provenance
from services.runtime.settings.http_ports import HTTP_PORTS
from services.runtime.settings.layers import FILE_SUFFIX, Layers
from services.runtime.settings.provenance import Provenance
from services.runtime.settings.types import Addresses, Paths, Port, Seconds, Symbols, Times

MANDATORY: dict[str, tuple[str, ...]] = {
    topics.WS: ("REDIS_PASSWORD_CDB_WS",),
    topics.CORE: ("REDIS_PASSWORD_CDB_CORE",),
    topics.RISK: ("REDIS_PASSWORD_CDB_RISK",),
    topics.EXECUTION: ("REDIS_PASSWORD_CDB_EXECUTION", "POSTGRES_PASSWORD_CDB_EXECUTION"),
    topics.DB_WRITER: (
        "REDIS_PASSWORD_CDB_DB_WRITER",
        "REDIS_PASSWORD_RECOVERY",
        "POSTGRES_PASSWORD",
        "POSTGRES_PASSWORD_CDB_DB_WRITER",
        "POSTGRES_PASSWORD_CDB_EXECUTION",
        "POSTGRES_PASSWORD_CDB_PAPER_RUNNER",
        "POSTGRES_PASSWORD_CLAIRE_GRAFANA",
        "POSTGRES_PASSWORD_CDB_CONSOLE",
    ),
    topics.PAPER_RUNNER: ("REDIS_PASSWORD_CDB_PAPER_RUNNER", "POSTGRES_PASSWORD_CDB_PAPER_RUNNER"),
}
"""What a service cannot start without. The writer migrates the database, so it knows all roles."""
CONSOLE_SECRETS: tuple[str, ...] = (
    "REDIS_PASSWORD_CDB_CONSOLE",
    "POSTGRES_PASSWORD_CDB_CONSOLE",
    "CONSOLE_TOKEN",
)
"""What cdb_paper_runner needs beside its own where ``CONSOLE_PORT`` makes it start the console."""


class Settings(BaseSettings):
    """Everything a service reads at start. Field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    redis_host: str = Field("127.0.0.1", description="Host of the bus.")
    redis_port: Port = Field(6379, description="Port of the bus.")
    redis_password: SecretStr | None = Field(None, description="The operator's password.")
    redis_password_recovery: SecretStr | None = Field(
        None, description="Password of the user recovery; only cdb_db_writer holds it."
    )
    redis_password_cdb_ws: SecretStr | None = Field(None, description="cdb_ws on the bus.")
    redis_password_cdb_core: SecretStr | None = Field(None, description="cdb_core on the bus.")
    redis_password_cdb_risk: SecretStr | None = Field(None, description="cdb_risk on the bus.")
    redis_password_cdb_execution: SecretStr | None = Field(
        None, description="cdb_execution on the bus."
    )
    redis_password_cdb_db_writer: SecretStr | None = Field(
        None, description="cdb_db_writer on the bus."
    )
    redis_password_cdb_paper_runner: SecretStr | None = Field(
        None, description="cdb_paper_runner on the bus."
    )
    redis_password_cdb_console: SecretStr | None = Field(
        None, description="The console on the bus."
    )
    postgres_host: str = Field("127.0.0.1", description="Host of the database, or socket folder.")
    postgres_port: Port = Field(5432, description="Port of the database.")
    postgres_db: str = Field("claire_de_binare", description="Name of the database.")
    postgres_user: str = Field("claire_user", description="Owner of the database.")
    postgres_password: SecretStr | None = Field(None, description="The owner's password.")
    postgres_password_cdb_execution: SecretStr | None = Field(
        None, description="Role of cdb_execution."
    )
    postgres_password_cdb_db_writer: SecretStr | None = Field(
        None, description="Role of cdb_db_writer."
    )
    postgres_password_cdb_paper_runner: SecretStr | None = Field(
        None, description="Role of cdb_paper_runner."
    )
    postgres_password_claire_grafana: SecretStr | None = Field(
        None, description="Read-only role of the dashboards."
    )
    postgres_password_cdb_console: SecretStr | None = Field(
        None, description="Read-only role of the console."
    )
    console_token: SecretStr | None = Field(
        None, description="Asked for by the console before an action."
    )
    console_port: Port | None = Field(
        None, description="Port of the console that cdb_paper_runner starts; default: no console."
    )
    console_services: Addresses = Field(
        (), description="Where the console reaches the services: NAME=URL, separated by commas."
    )
    http_host: str = Field(
        "127.0.0.1", description="Address of /health, /status, /metrics and the console."
    )
    http_port: Port | None = Field(
        None, description="Port of /health; default 8000 to 8006 by service."
    )
    trading_mode: str = Field("paper", description="paper; nothing else in phase N1.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )
    snapshot_interval_sec: Seconds = Field(
        10, description="Seconds between two snapshots of a service's state."
    )
    cdb_source: Literal["mexc", "replay", "synthetic", "external"] = Field(
        "mexc", description="The market: mexc, replay, synthetic or external."
    )
    cdb_speed: str = Field(
        "1", description="Pace of replay and synthetic: a factor, max (lock-step), or flood."
    )
    cdb_seed: int = Field(1, ge=0, description="Seed of the synthetic market.")
    cdb_duration: Seconds | None = Field(
        None, description="Event time after which the run ends (90, 15m, 2h); default: never."
    )
    cdb_data: Paths = Field(
        (), description="What a replay plays: files or folders, separated by ';' or ':'."
    )
    cdb_instruments: Path | None = Field(None, description="Contract details of a replay.")
    cdb_hold_at: Times = Field(
        (), description="Event times (ms) at which a replay waits for an operator's command."
    )
    symbol_whitelist: Symbols = Field((), description="Symbols to trade; empty: the TOP_N.")
    interval: str = Field("1m", pattern=r"^[1-9]\d*[smhd]$", description="Length of a bar.")
    top_n: int = Field(10, ge=1, le=500, description="Most traded symbols if none are named.")
    mexc_ws_url: str = Field("wss://contract.mexc.com/edge", description="MEXC WebSocket.")
    mexc_rest_url: str = Field("https://contract.mexc.com", description="MEXC REST.")
    cdb_cache_dir: Path = Field(
        Path(".claire/cache"),
        description="Folder in which cdb_ws keeps contract details; /cache in the container.",
    )
    record: bool = Field(False, description="Whether cdb_ws records its market (1 or 0).")
    record_dir: Path = Field(
        Path(".claire/recordings"), description="Folder of the recording; /recordings inside."
    )
    cdb_backup_dir: Path = Field(
        Path("backups"), description="Folder of the database's backups; /backups inside."
    )
    mexc_api_key: SecretStr | None = Field(None, description="Not needed for paper trading.")
    mexc_api_secret: SecretStr | None = Field(None, description="Not needed for paper trading.")

    _service: str | None = PrivateAttr()
    _trading: TradingSettings = PrivateAttr()
    _problems: tuple[SettingProblem, ...] = PrivateAttr()
    _inconsistencies: tuple[Inconsistency, ...] = PrivateAttr()
    _provenance: tuple[Provenance, ...] = PrivateAttr()
    _warnings: tuple[str, ...] = PrivateAttr()

    def __init__(self, layers: Layers, service: str | None = None) -> None:
        texts = layers.values
        given: dict[str, Any] = {
            field: texts[field.upper()] for field, _ in self._fields() if field.upper() in texts
        }
        super().__init__(**given)
        self._service = service
        self._trading, self._problems = TradingSettings.parse(layers.values)
        docs = {name.upper(): info.description or "" for name, info in self._fields()}
        self._provenance = provenance.of_texts(self._shown(), docs, layers) + provenance.of_trading(
            self._trading, self._problems, layers
        )
        self._inconsistencies = inconsistencies(self._trading)
        self._warnings = provenance.warnings(self._problems, layers, known_names()) + tuple(
            f"no service starts: {found.message}" if found.fatal else found.message
            for found in self._inconsistencies
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - given by pydantic
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `Layers` merged: it also feeds the trading settings and the provenance."""
        return (init_settings,)

    @field_validator("cdb_speed")
    @classmethod
    def _is_a_pace(cls, value: str) -> str:
        if value in ("max", "flood"):
            return value
        try:
            factor = Decimal(value)
        except InvalidOperation:
            factor = Decimal("NaN")
        if not factor.is_finite() or factor <= 0:
            raise ValueError("must be a number above 0, max or flood")
        return value

    @property
    def service(self) -> str | None:
        """The service these settings were loaded for; None for the command line."""
        return self._service

    @property
    def trading(self) -> TradingSettings:
        """The settings that the stages get with ``run_started``."""
        return self._trading

    @property
    def problems(self) -> tuple[SettingProblem, ...]:
        """Trading settings that were out of range, and what is used instead."""
        return self._problems

    @property
    def inconsistencies(self) -> tuple[Inconsistency, ...]:
        """Trading settings that exclude each other; with a fatal one no service starts."""
        return self._inconsistencies

    @property
    def provenance(self) -> tuple[Provenance, ...]:
        """Every setting with its value (secrets hidden) and source."""
        return self._provenance

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each value out of range, deprecated or unknown name, and contradiction."""
        return self._warnings

    @property
    def port(self) -> int:
        """Port of this service's HTTP server."""
        if self.http_port is not None:
            return self.http_port
        return HTTP_PORTS.get(self._service or "", 0)

    def redis_address(self, user: str) -> RedisAddress:
        """The bus, as a service, as ``recovery``, or as ``operator``.

        Raises:
            SettingError: That user's password is not set.
        """
        name = "REDIS_PASSWORD" if user == "operator" else f"REDIS_PASSWORD_{user.upper()}"
        return RedisAddress(self.redis_host, self.redis_port, user, self.secret(name))

    def database_address(self, role: str) -> DatabaseAddress:
        """The database, as its owner (``postgres_user``), a service, or one that only reads.

        Raises:
            SettingError: That role's password is not set.
        """
        owner = role == self.postgres_user
        name = "POSTGRES_PASSWORD" if owner else f"POSTGRES_PASSWORD_{role.upper()}"
        return DatabaseAddress(
            self.postgres_host, self.postgres_port, self.postgres_db, role, self.secret(name)
        )

    def run_settings(self) -> dict[str, str]:
        """What ``run_started`` records: the trading settings, and what chooses the market."""
        run = {
            "CDB_SOURCE": self.cdb_source,
            "CDB_SPEED": self.cdb_speed,
            "CDB_SEED": str(self.cdb_seed),
            "CDB_DURATION": str(self.cdb_duration or ""),
            "CDB_DATA": ",".join(path.name for path in self.cdb_data),
            "CDB_INSTRUMENTS": self.cdb_instruments.name if self.cdb_instruments else "",
            "SYMBOL_WHITELIST": ",".join(self.symbol_whitelist),
            "INTERVAL": self.interval,
            "TOP_N": str(self.top_n),
        }
        return self.trading.to_mapping() | run

    def effective(self) -> dict[str, str]:
        """Name to value for ``/status``; secrets hidden."""
        return {entry.name: entry.value for entry in self._provenance}

    def secrets(self) -> frozenset[str]:
        """The secret texts themselves, for the log's filter."""
        given = (getattr(self, name.lower()) for name in SECRETS)
        return frozenset(secret.get_secret_value() for secret in given if secret is not None)

    def _shown(self) -> dict[str, str]:
        """Name to value as people may see it."""
        shown = {}
        for field, _ in self._fields():
            value, name = getattr(self, field), field.upper()
            if name in SECRETS:
                shown[name] = "not set" if value is None else "********"
            elif name == "CONSOLE_SERVICES":
                shown[name] = ",".join(f"{service}={url}" for service, url in value)
            elif isinstance(value, tuple):
                shown[name] = ",".join(map(str, value))
            else:
                shown[name] = "" if value is None else str(value)
        shown["HTTP_PORT"] = str(self.port or "")
        return shown

    @staticmethod
    def _fields() -> list[tuple[str, FieldInfo]]:
        return list(Settings.model_fields.items())

    def secret(self, name: str) -> str:
        """The text of a secret, by its variable's name.

        Raises:
            SettingError: It is not set.
        """
        secret: SecretStr | None = getattr(self, name.lower(), None)
        if secret is None:
            raise SettingError(_missing(name))
        return secret.get_secret_value()


SECRETS: tuple[str, ...] = tuple(
    name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field)
)
"""Names whose values are never shown; each may be given as ``NAME_FILE``."""


def load(
    service: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check the settings.

    Args:
        service: Whose mandatory variables must be there; None asks for none.
        environ: Instead of the process environment. Its ``CDB_ENV_FILE`` names another .env file.
        env_file: The .env file, if it exists.
        overrides: What the command line gave with ``--set``.

    Raises:
        SettingError: With one line that names the variable, its value and the remedy.
    """
    environ = os.environ if environ is None else environ
    env_file = Path(environ["CDB_ENV_FILE"]) if environ.get("CDB_ENV_FILE") else env_file
    layers = Layers.read(
        environ=environ, env_file=env_file, overrides=overrides or {}, secrets=SECRETS
    )
    for name in MANDATORY.get(service or "", ()):
        if name not in layers.values:
            raise SettingError(_missing(name))
    try:
        settings = Settings(layers, service)
    except ValidationError as error:
        raise SettingError(_first_line(error, layers)) from None
    if settings.trading_mode != "paper":
        raise SettingError(
            f"TRADING_MODE={settings.trading_mode} is refused: phase N1 trades paper only;"
            " set TRADING_MODE=paper"
        )
    # An operator's command must work whatever .env says meanwhile: only who trades is refused.
    if service is not None:
        refuse_contradictions(settings)
    return settings


def refuse_contradictions(settings: Settings) -> None:
    """Refuse settings under which no entry could ever pass.

    Raises:
        SettingError: With the contradiction, the values it lies between, and what to change.
    """
    for found in settings.inconsistencies:
        if found.fatal:
            raise SettingError(found.message)


def _missing(name: str) -> str:
    return (
        f"{name} is not set; run `claire init` to write a .env with generated secrets,"
        f" or set {name} or {name}{FILE_SUFFIX}"
    )


def _first_line(error: ValidationError, layers: Layers) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0]).upper()
    shown = "" if name in SECRETS else f"={layers.values.get(name, '')!r}"
    return f"{name}{shown} is not usable: {first['msg'].removeprefix('Value error, ')}"


def known_names() -> frozenset[str]:
    """Every variable that the system reads, ``NAME_FILE`` and deprecated names included."""
    model = {name.upper() for name in Settings.model_fields}
    files = {name + FILE_SUFFIX for name in SECRETS}
    return frozenset(model | files | {spec.name for spec in ALL_SPECS} | set(ALIASES))
