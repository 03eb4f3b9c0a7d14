"""`.env.example` documents what the program reads: no more, no less, and with its own defaults."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import ALL_SPECS, ChoiceSpec, SettingSpec
from services.runtime.settings import model as runtime_settings
from services.runtime.settings.secrets import GENERATED

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / ".env.example"
TEXT = EXAMPLE.read_text("utf-8")
VALUES = dotenv_values(EXAMPLE, interpolate=False)
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")

SET_BY_THE_PROGRAM = {
    *("HTTP_HOST", "HTTP_PORT", "REDIS_HOST", "REDIS_PORT"),
    *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER"),
    *("CONSOLE_PORT", "CONSOLE_SERVICES"),
    *("CDB_HOLD_AT", "RECORD_DIR", "CDB_CACHE_DIR"),
}
"""What docker-compose.yml sets itself, because it has to fit the rest of that file, and what
`claire run-paper --control` sets."""


@pytest.mark.parametrize("spec", ALL_SPECS, ids=lambda spec: spec.name)
def test_a_trading_setting_is_there_with_its_default_range_and_meaning(
    spec: SettingSpec | ChoiceSpec,
) -> None:
    assert VALUES[spec.name] == str(spec.default)

    comment = re.search(rf"((?:^#.*\n)+){spec.name}=", TEXT, re.MULTILINE)
    assert comment
    allowed = f"One of {spec.allowed}"
    if isinstance(spec, SettingSpec):
        allowed = f"{spec.low} to {spec.high} ({spec.unit})"
    text = comment[1].replace("\n# ", " ")  # a long one has several lines
    assert f"{spec.doc} {allowed}." in text


def test_the_trading_settings_in_it_are_the_defaults() -> None:
    given = {name: value or "" for name, value in VALUES.items()}

    assert TradingSettings.parse(given) == (TradingSettings.parse({})[0], ())


def test_passwords_are_empty() -> None:
    for name in (*GENERATED, "MEXC_API_KEY", "MEXC_API_SECRET"):
        assert VALUES[name] == ""


def test_every_variable_of_the_program_is_documented() -> None:
    model = {name.upper() for name in runtime_settings.Settings.model_fields}

    assert model - SET_BY_THE_PROGRAM <= set(VALUES)


def test_every_variable_of_the_compose_file_is_documented_with_the_same_default() -> None:
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE_TEXT))

    for name, default in used.items():
        assert VALUES[name] == default, name


def test_every_variable_in_it_is_read_by_something() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT)) | {"GRAFANA_ADMIN_PASSWORD"}

    assert set(VALUES) <= runtime_settings.known_names() | used


def test_it_loads_without_a_warning_once_it_has_passwords(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(TEXT, "utf-8")

    loaded = runtime_settings.load(environ={}, env_file=env)

    assert loaded.warnings == ()
