"""Generated passwords: a `.env` from `.env.example`, and the files that the containers read.

`.env` is the one place where a password is kept; the files beside it are made from it, one per
password, because a container is given exactly the ones it needs.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from services.runtime.bus.redis import acl


def password_variable(user: str) -> str:
    """The variable that holds the password of a user of the bus."""
    return "REDIS_PASSWORD" if user == acl.OPERATOR else f"REDIS_PASSWORD_{user.upper()}"


CONSOLE_TOKEN: Final = "CONSOLE_TOKEN"  # noqa: S105 - the variable's name
"""What a person enters in the console before an action."""

GENERATED: Final = (
    *(password_variable(user) for user in acl.USERS),
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_CDB_EXECUTION",
    "POSTGRES_PASSWORD_CDB_DB_WRITER",
    "POSTGRES_PASSWORD_CDB_PAPER_RUNNER",
    "POSTGRES_PASSWORD_CLAIRE_GRAFANA",
    "POSTGRES_PASSWORD_CDB_CONSOLE",
    "GRAFANA_ADMIN_PASSWORD",
    CONSOLE_TOKEN,
)
"""Variables that are passwords; no default exists for any of them."""

FROM_FILES: Final = (*GENERATED, "MEXC_API_KEY", "MEXC_API_SECRET")
"""Variables that may be given as a file, ``NAME_FILE``, instead."""

ACL_FILE: Final = "redis_users.acl"
EXAMPLE: Final = Path(__file__).parents[3] / ".env.example"

_PASSWORD_BYTES = 24


class EnvFileError(RuntimeError):
    """A `.env` or a file made from it cannot be read or written; says which and what to do."""


@dataclass(frozen=True, slots=True)
class GeneratedEnv:
    """What `generate_env` did.

    Attributes:
        path: The `.env`.
        created: Whether it did not exist before.
        generated: Names of the passwords that were made now.
        secrets_dir: Folder of the files for the containers.
    """

    path: Path
    created: bool
    generated: tuple[str, ...]
    secrets_dir: Path


def generate_env(
    path: Path, *, example: Path = EXAMPLE, secrets_dir: Path | None = None
) -> GeneratedEnv:
    """Make a `.env` with generated passwords, and the containers' files from it.

    May be called as often as one likes: what has a value keeps it; only passwords that are
    missing or empty are made, and the containers' files follow `.env`.

    Args:
        path: The `.env` to write; readable by its owner only.
        example: What a new one begins as.
        secrets_dir: Folder of the containers' files; by default what CDB_SECRETS_DIR in `path`
            says, relative to its folder.

    Raises:
        EnvFileError: Something cannot be read or written.
    """
    try:
        created = not path.exists()
        text = (example if created else path).read_text(encoding="utf-8-sig")
        text, generated = _with_passwords(text)
        if created or generated:
            _replace(path, text, mode=0o600)
        else:
            path.chmod(0o600)
        values = dotenv_values(path, encoding="utf-8-sig", interpolate=False)
        if secrets_dir is None:
            secrets_dir = path.parent / (values.get("CDB_SECRETS_DIR") or "secrets")
        _write_secret_files({name: values.get(name) or "" for name in GENERATED}, secrets_dir)
    except OSError as error:
        raise EnvFileError(
            f"cannot read or write {error.filename}: {error.strerror};"
            " choose a folder that you may write, or mend its permissions"
        ) from error
    return GeneratedEnv(path, created, generated, secrets_dir)


def _with_passwords(text: str) -> tuple[str, tuple[str, ...]]:
    generated = []
    for name in GENERATED:
        if re.search(rf"^\s*(?:export\s+)?{name}\s*=[ \t]*\S", text, re.MULTILINE):
            continue
        # Hexadecimal: nothing in it means anything to a shell, Compose, an URL or a config file.
        line = f"{name}={secrets.token_hex(_PASSWORD_BYTES)}"
        text, replaced = re.subn(rf"^{name}=[ \t]*$", line, text, count=1, flags=re.MULTILINE)
        if not replaced:
            text = f"{text.rstrip()}\n{line}\n"
        generated.append(name)
    return text, tuple(generated)


def _write_secret_files(passwords: Mapping[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The folder keeps other people of this machine out. The files themselves are readable,
    # because a container's user, which is not the owner, reads them through a bind mount.
    folder.chmod(0o700)
    users = {user: passwords[password_variable(user)] for user in acl.USERS}
    files = {name.lower(): password for name, password in passwords.items()}
    files[ACL_FILE] = acl.render(users)
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            _replace(file, text, mode=0o644)


def _replace(path: Path, text: str, *, mode: int) -> None:
    """Write the whole file or nothing, with Unix line ends (containers read it) on any system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
