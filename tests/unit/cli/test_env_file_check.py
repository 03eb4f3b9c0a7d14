"""`claire doctor` reads .env as a person wrote it."""

from pathlib import Path

import pytest

from services.cli.operate import diagnosis
from services.cli.operate.env_file_check import LEAST_PASSWORD_CHARACTERS, problems

pytestmark = pytest.mark.unit

STRONG = "0123456789abcdef"


def found_in(folder: Path, text: str) -> list[str]:
    path = folder / ".env"
    path.write_text(text, "utf-8")
    return [problem for problem, _ in problems(path)]


def test_a_good_file_has_no_problem(tmp_path: Path) -> None:
    text = f"# REDIS_PASSWORD=old\nREDIS_PASSWORD={STRONG}\nPOSTGRES_PASSWORD=\nLOG_LEVEL=INFO\n"

    assert found_in(tmp_path, text) == []


def test_a_name_that_is_given_twice_is_reported_once(tmp_path: Path) -> None:
    assert found_in(tmp_path, "MAX_LEVERAGE=3\nexport MAX_LEVERAGE = 2\nMAX_LEVERAGE=1\n") == [
        "MAX_LEVERAGE is given 3 times; the last one counts"
    ]


@pytest.mark.parametrize("password", [STRONG[:-1], "a" * 40, "'secret'"])
def test_a_short_or_uniform_password_is_weak_and_not_shown(tmp_path: Path, password: str) -> None:
    assert len(STRONG) == LEAST_PASSWORD_CHARACTERS

    assert found_in(tmp_path, f"REDIS_PASSWORD={password}\n") == ["REDIS_PASSWORD is weak"]


def test_one_password_for_two_users_is_reported_for_both(tmp_path: Path) -> None:
    text = f"REDIS_PASSWORD={STRONG}\nPOSTGRES_PASSWORD={STRONG}\n"

    assert found_in(tmp_path, text) == [
        "POSTGRES_PASSWORD is also another password",
        "REDIS_PASSWORD is also another password",
    ]


def test_the_newest_backup_is_named_with_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CDB_BACKUP_DIR", raising=False)
    assert diagnosis.check_backups() == []
    (tmp_path / ".env").write_text("CDB_BACKUP_DIR=kept\n")
    assert diagnosis.check_backups()[0].remedy == "make backup"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "half.dump").touch()
    assert diagnosis.check_backups()[0].found == "none in kept"
    (tmp_path / "kept" / "one.dump").write_text("dump")

    [backup] = diagnosis.check_backups()

    assert (backup.verdict, backup.found) == ("ok", "the newest in kept is 0.0 days old")
