"""Dropping root: PostgreSQL refuses to run as root, and must reach its files without it."""

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class SystemUser(NamedTuple):
    """An operating system user to run a server as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def to_drop_to(cls) -> "SystemUser | None":
        """Who PostgreSQL runs as: ``None`` (ourselves) unless we are root.

        The user must exist by name, because ``initdb`` looks itself up.

        Raises:
            LookupError: We are root and there is neither a user ``postgres`` nor ``nobody``.
        """
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise LookupError(
            "PostgreSQL does not run as root and there is no user 'postgres' or 'nobody' to run it"
            " as; start as an ordinary user"
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may reach ``folder`` through every folder above it."""
        resolved = folder.resolve()
        return all(self._may_search(part.stat()) for part in (resolved, *resolved.parents))

    def _may_search(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def reachable_copy(base: Path, parts: Iterable[Path], user: SystemUser) -> Path:
    """Copy program folders to where ``user`` can run them; the caller removes the copy.

    A virtual environment under ``/root`` is closed to everybody else. Opening it up would be
    wrong, so what is needed is copied: readable by all, writable by us only.

    Args:
        base: Folder that the parts are in.
        parts: Folders relative to ``base``, with programs and libraries, no secrets.
        user: Who is to run them.

    Returns:
        The copy of ``base``, holding the parts only.

    Raises:
        PermissionError: No temporary folder is open to ``user``.
    """
    for temporary in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if temporary.is_dir() and user.can_enter(temporary):
            break
    else:
        raise PermissionError(f"{base} is closed to the user {user.name}, and so is {temporary}")
    copy = Path(tempfile.mkdtemp(prefix="claire-programs-", dir=temporary))
    try:
        for part in parts:
            shutil.copytree(base / part, copy / part, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                executable = path.is_dir() or mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    return copy
