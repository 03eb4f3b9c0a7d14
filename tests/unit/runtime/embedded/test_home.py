"""The home of embedded runs: one user at a time, private, and cleared without collateral damage."""

import os
from pathlib import Path

import pytest

from services.runtime.embedded.home import Home, HomeError, Session

pytestmark = pytest.mark.unit


def test_a_home_has_one_user_at_a_time(tmp_path: Path) -> None:
    with (
        Home(tmp_path).taken(),
        pytest.raises(HomeError, match="another run uses"),
        Home(tmp_path).taken(),
    ):
        pass
    with Home(tmp_path).taken():
        pass


def test_a_folder_that_cannot_be_made_is_reported_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="set CLAIRE_HOME"), Home(tmp_path / "file" / "x").taken():
        pass


def test_clearing_removes_what_runs_left_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.touch()
    for name in ("redis", "postgres", "logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").touch()
    home = Home(tmp_path)
    assert home.has_data

    with home.taken():
        home.clear()

    assert not home.has_data
    assert mine.exists()
    assert not (tmp_path / "logs").exists()


def test_passwords_are_made_once_and_kept_private(tmp_path: Path) -> None:
    first = Home(tmp_path).passwords(("A", "B"))
    second = Home(tmp_path).passwords(("B", "C"))

    assert first["B"] == second["B"]
    assert len({first["A"], first["B"], second["C"]}) == 3
    assert (tmp_path / "passwords.json").stat().st_mode & 0o077 == 0


def test_a_session_is_known_while_it_lasts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    session = Session(os.getpid(), 1, 2, {"cdb_ws": "http://127.0.0.1:3"})

    with home.published(session):
        assert Home(tmp_path).session() == session
    assert Home(tmp_path).session() is None


def test_a_session_whose_process_is_gone_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.published(Session(2**22 + 1, 1, 2, {})):  # above the highest process id
        assert home.session() is None


def test_the_environment_names_the_home(tmp_path: Path) -> None:
    assert Home.from_environment({"CLAIRE_HOME": str(tmp_path)}).folder == tmp_path
    assert Home.from_environment({"CLAIRE_HOME": ""}).folder == Path.cwd() / ".claire"
