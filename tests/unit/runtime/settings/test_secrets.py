"""Generated passwords: made once, kept, private, and handed to the containers."""

import stat
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from services.runtime.settings.model import SECRETS
from services.runtime.settings.secrets import (
    ACL_FILE,
    FROM_FILES,
    GENERATED,
    EnvFileError,
    generate_env,
)

pytestmark = pytest.mark.unit

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def passwords(env: Path) -> dict[str, str]:
    values = dotenv_values(env, interpolate=False)
    return {name: values.get(name) or "" for name in GENERATED}


def test_a_new_env_has_every_password_each_another_one(tmp_path: Path) -> None:
    made = generate_env(tmp_path / ".env")

    assert made.created
    assert made.generated == GENERATED
    given = list(passwords(made.path).values())
    assert all(len(password) >= 32 for password in given)
    assert len(set(given)) == len(GENERATED)


@posix_only
def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    made = generate_env(tmp_path / ".env")

    assert mode(made.path) == 0o600
    assert mode(made.secrets_dir) == 0o700


def test_again_changes_nothing(tmp_path: Path) -> None:
    first = generate_env(tmp_path / ".env")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    second = generate_env(tmp_path / ".env")

    assert not second.created
    assert second.generated == ()
    assert first.secrets_dir == second.secrets_dir
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_what_has_a_value_keeps_it_and_what_is_missing_is_made(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("MAX_POSITION_PCT=0.05\nREDIS_PASSWORD=mine\nPOSTGRES_PASSWORD=\n", "utf-8")

    made = generate_env(env)

    values = dotenv_values(env, interpolate=False)
    assert values["MAX_POSITION_PCT"] == "0.05"
    assert passwords(env)["REDIS_PASSWORD"] == "mine"  # noqa: S105
    assert "REDIS_PASSWORD" not in made.generated
    assert set(made.generated) == set(GENERATED) - {"REDIS_PASSWORD"}
    assert all(passwords(env).values())


def test_the_containers_files_follow_the_env(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    made = generate_env(env)
    acl = (made.secrets_dir / ACL_FILE).read_text("utf-8")
    env.write_text(env.read_text("utf-8").replace(passwords(env)["REDIS_PASSWORD"], "changed"))

    generate_env(env)

    for name, password in passwords(env).items():
        assert (made.secrets_dir / name.lower()).read_text("utf-8") == password
    assert (made.secrets_dir / "redis_password").read_text("utf-8") == "changed"
    assert (made.secrets_dir / ACL_FILE).read_text("utf-8") != acl


@posix_only
def test_a_containers_user_can_read_its_files(tmp_path: Path) -> None:
    made = generate_env(tmp_path / ".env")

    assert {mode(file) for file in made.secrets_dir.iterdir()} == {0o644}


def test_no_password_is_in_the_access_rules(tmp_path: Path) -> None:
    made = generate_env(tmp_path / ".env")

    acl = (made.secrets_dir / ACL_FILE).read_text("utf-8")
    assert not any(password in acl for password in passwords(made.path).values())


def test_files_have_unix_line_ends(tmp_path: Path) -> None:
    made = generate_env(tmp_path / ".env")

    for file in (made.path, *made.secrets_dir.iterdir()):
        assert b"\r" not in file.read_bytes()


def test_the_folder_of_the_files_can_be_chosen_in_the_env(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("CDB_SECRETS_DIR=./elsewhere\n", "utf-8")

    assert generate_env(env).secrets_dir == tmp_path / "elsewhere"
    assert (tmp_path / "elsewhere" / ACL_FILE).is_file()


def test_what_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")

    with pytest.raises(EnvFileError, match=r"file.*choose a folder"):
        generate_env(tmp_path / "file" / ".env")


def test_every_secret_setting_may_come_from_a_file() -> None:
    assert set(SECRETS) <= set(FROM_FILES)
