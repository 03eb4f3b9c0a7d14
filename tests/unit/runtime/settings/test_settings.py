import json
from decimal import Decimal
from pathlib import Path

import pytest

from services.kernel.events import topics
from services.kernel.settings.model import SettingError
from services.kernel.settings.parameters import ALL_SPECS
from services.runtime.settings import model
from services.runtime.settings.model import MANDATORY, SECRETS, Settings

pytestmark = pytest.mark.unit

HIDDEN = "5ecre7-of-mine"


def load(service: str | None = None, env_file: Path | None = None, **environ: str) -> Settings:
    return model.load(service, environ=environ, env_file=env_file)


def provenance(loaded: Settings) -> dict[str, tuple[str, str]]:
    return {entry.name: (entry.value, entry.source) for entry in loaded.provenance}


def test_defaults_without_any_variable():
    loaded = load()
    assert loaded.trading_mode == "paper"
    assert loaded.cdb_source == "mexc"
    assert loaded.trading.account_equity == Decimal(100000)
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, names in MANDATORY.items() for name in names]
)
def test_a_missing_mandatory_variable_is_named_in_one_line(service: str, name: str):
    environ = {other: HIDDEN for other in MANDATORY[service] if other != name}

    with pytest.raises(SettingError) as raised:
        load(service, **environ)

    message = str(raised.value)
    assert name in message
    assert "claire init" in message
    assert "\n" not in message


def test_every_service_has_mandatory_variables_that_exist():
    assert set(MANDATORY) == set(topics.SERVICES)
    assert {name for names in MANDATORY.values() for name in names} <= set(SECRETS)


def test_empty_counts_as_missing():
    blank = " "
    with pytest.raises(SettingError, match="REDIS_PASSWORD_CDB_CORE"):
        load(topics.CORE, REDIS_PASSWORD_CDB_CORE=blank)


@pytest.mark.parametrize("mode", ["live", "LIVE", "shadow"])
def test_any_mode_but_paper_is_refused_with_the_reason(mode: str):
    with pytest.raises(SettingError, match=f"TRADING_MODE={mode}.*paper only"):
        load(TRADING_MODE=mode)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PORT", "abc"),
        ("REDIS_PORT", "70000"),
        ("CDB_SOURCE", "nasdaq"),
        ("CDB_SPEED", "fast"),
        ("CDB_SPEED", "0"),
        ("CDB_SPEED", "nan"),
        ("CDB_SEED", "-1"),
        ("CDB_DURATION", "soon"),
        ("CDB_DURATION", "0"),
        ("INTERVAL", "minute"),
        ("LOG_LEVEL", "LOUD"),
        ("MAX_LEVERAGE", "three"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_value(name: str, value: str):
    with pytest.raises(SettingError) as raised:
        load(**{name: value})

    assert f"{name}=" in str(raised.value)
    assert value in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_environment_wins_over_the_env_file_and_set_wins_over_both(tmp_path: Path):
    env_file = tmp_path / ".env"
    env_file.write_text("MAX_LEVERAGE=2\nTOP_N=5\nINTERVAL=5m\n", encoding="utf-8")

    loaded = model.load(
        environ={"MAX_LEVERAGE": "4", "TOP_N": "6"},
        env_file=env_file,
        overrides={"MAX_LEVERAGE": "5"},
    )

    found = provenance(loaded)
    assert found["MAX_LEVERAGE"] == ("5", "--set")
    assert found["TOP_N"] == ("6", "env")
    assert found["INTERVAL"] == ("5m", ".env")
    assert found["STOP_LOSS_PCT"] == ("0.02", "default")


def test_provenance_covers_every_setting_once():
    names = [entry.name for entry in load().provenance]
    expected = {name.upper() for name in Settings.model_fields}
    expected |= {spec.name for spec in ALL_SPECS}
    assert len(names) == len(set(names))
    assert set(names) == expected


def test_a_secret_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "password"
    file.write_text(f"{HIDDEN}\n", encoding="utf-8")

    loaded = load(topics.RISK, REDIS_PASSWORD_CDB_RISK_FILE=str(file))

    assert loaded.redis_address(topics.RISK).password == HIDDEN
    assert provenance(loaded)["REDIS_PASSWORD_CDB_RISK"] == ("********", f"file {file}")
    assert loaded.warnings == ()


@pytest.mark.parametrize("content", [None, ""])
def test_an_unusable_secret_file_is_named(tmp_path: Path, content: str | None):
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    with pytest.raises(SettingError, match="REDIS_PASSWORD_CDB_RISK_FILE="):
        load(topics.RISK, REDIS_PASSWORD_CDB_RISK_FILE=str(file))


def test_a_secret_in_both_forms_is_refused():
    path = "/nowhere"
    with pytest.raises(SettingError, match="both set"):
        load(REDIS_PASSWORD=HIDDEN, REDIS_PASSWORD_FILE=path)


def test_secrets_show_nowhere():
    loaded = load(topics.EXECUTION, **dict.fromkeys(SECRETS, HIDDEN))

    shown = [repr(loaded), str(loaded), repr(loaded.provenance), json.dumps(loaded.effective())]
    shown += [json.dumps(loaded.run_settings()), repr(loaded.redis_address(topics.EXECUTION))]
    shown += [repr(loaded.database_address(topics.EXECUTION)), loaded.model_dump_json()]
    assert not [text for text in shown if HIDDEN in text]
    assert loaded.secrets() == {HIDDEN}


def test_the_owner_and_the_roles_have_their_own_database_passwords():
    owner, role = "text-1", "text-2"
    loaded = load(POSTGRES_PASSWORD=owner, POSTGRES_PASSWORD_CDB_EXECUTION=role)
    assert loaded.database_address("claire_user").password == owner
    assert loaded.database_address(topics.EXECUTION).password == role
    with pytest.raises(SettingError, match="POSTGRES_PASSWORD_CLAIRE_GRAFANA"):
        loaded.database_address("claire_grafana")


def test_out_of_range_falls_back_with_a_warning_and_says_so_in_the_provenance():
    loaded = load(MAX_POSITION_PCT="0.9")
    assert loaded.trading.max_position_pct == Decimal("0.10")
    assert "MAX_POSITION_PCT=0.9 is out of range" in loaded.warnings[0]
    assert provenance(loaded)["MAX_POSITION_PCT"] == ("0.10", "env: 0.9 is out of range")


def test_a_deprecated_name_counts_and_warns():
    loaded = load(MAX_EXPOSURE_PCT="0.2")
    assert loaded.trading.max_total_exposure_pct == Decimal("0.2")
    assert provenance(loaded)["MAX_TOTAL_EXPOSURE_PCT"] == ("0.2", "env (MAX_EXPOSURE_PCT)")
    assert loaded.warnings == ("MAX_EXPOSURE_PCT is deprecated; use MAX_TOTAL_EXPOSURE_PCT",)


def test_unknown_variables_warn_and_a_near_name_is_offered(tmp_path: Path):
    env_file = tmp_path / ".env"
    env_file.write_text("SYMBOL_WHITELST=BTC_USDT\nGRAFANA_ADMIN_PASSWORD=x\n", encoding="utf-8")

    loaded = load(env_file=env_file, MAX_LEVERAG="2", CDB_TYPO="1", HOME="/root", MAXIMUM="1")

    assert len(loaded.warnings) == 3
    assert "CDB_TYPO" in loaded.warnings[0]
    assert "MAX_LEVERAG is not a known setting" in loaded.warnings[1]
    assert "did you mean MAX_LEVERAGE?" in loaded.warnings[1]
    assert "did you mean SYMBOL_WHITELIST?" in loaded.warnings[2]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)]
)
def test_durations(text: str, seconds: int):
    assert load(CDB_DURATION=text).cdb_duration == seconds


@pytest.mark.parametrize("text", ["/a/x.csv;/b/y.csv", '["/a/x.csv", "/b/y.csv"]'])
def test_several_data_files(text: str):
    loaded = load(CDB_DATA=text)
    assert loaded.cdb_data == (Path("/a/x.csv"), Path("/b/y.csv"))
    assert loaded.run_settings()["CDB_DATA"] == "x.csv,y.csv"


def test_symbols_are_a_list_in_their_normal_form():
    loaded = load(SYMBOL_WHITELIST="btc_usdt, ETHUSDT SOL/USDT")
    assert loaded.symbol_whitelist == ("BTC_USDT", "ETH_USDT", "SOL_USDT")
    with pytest.raises(SettingError, match=r"SYMBOL_WHITELIST=.*symbol is 'BTC'"):
        load(SYMBOL_WHITELIST="BTC")


def test_run_settings_are_read_back_to_equal_trading_settings():
    loaded = load(MAX_LEVERAGE="2", CDB_SPEED="max")
    recorded = loaded.run_settings()
    assert type(loaded.trading).parse(recorded) == (loaded.trading, ())
    assert recorded["CDB_SPEED"] == "max"


def test_an_env_file_named_by_the_environment_is_read_instead(tmp_path: Path):
    file = tmp_path / "other.env"
    file.write_text("TOP_N=3\n", encoding="utf-8")
    assert load(CDB_ENV_FILE=str(file)).top_n == 3


def test_an_env_file_that_is_not_text_is_named(tmp_path: Path):
    file = tmp_path / ".env"
    file.write_bytes(b"\xff\xfe\x00A")
    with pytest.raises(SettingError, match=r"\.env cannot be read"):
        load(env_file=file)


def test_the_example_file_is_known_to_the_last_name():
    loaded = load(env_file=Path(__file__).parents[4] / ".env.example")
    assert loaded.warnings == ()


@pytest.mark.parametrize("service", MANDATORY)
def test_no_service_starts_with_settings_under_which_no_entry_could_pass(service: str):
    secrets = dict.fromkeys(MANDATORY[service], HIDDEN)

    with pytest.raises(SettingError, match=r"MAX_LEVERAGE=10 .*MIN_LIQUIDATION_DISTANCE=0.15"):
        load(service, MAX_LEVERAGE="10", **secrets)

    assert load(service, MAX_LEVERAGE="5", **secrets).trading.max_leverage == 5


def test_an_operator_s_command_works_with_them_and_is_reported():
    loaded = load(MAX_LEVERAGE="10")

    assert loaded.inconsistencies[0].fatal
    assert loaded.warnings[0].startswith("no service starts: MAX_LEVERAGE=10")


def test_settings_that_only_trim_warn():
    (warning,) = load(topics.CORE, REDIS_PASSWORD_CDB_CORE=HIDDEN, STOP_LOSS_PCT="0.01").warnings

    assert "RISK_PER_TRADE_PCT=0.002 with STOP_LOSS_PCT=0.01 asks for 20 % of equity" in warning
