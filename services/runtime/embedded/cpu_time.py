"""Processor time of a process and of those it started; Linux only, 0 elsewhere."""

import os
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _USER, _CHILDREN_SYSTEM = 1, 11, 14
"""Fields of /proc/PID/stat behind the name: parent; user and system time, then the children's."""


def of_family(pid: int) -> float:
    """Seconds used by a process and its descendants, the ended ones it waited for included."""
    if not (_PROC / "self" / "stat").exists():
        return 0.0
    stats = {int(path.name): _read(path) for path in _PROC.iterdir() if path.name.isdigit()}
    family, found = {pid}, True
    while found:
        more = {
            child
            for child, fields in stats.items()
            if fields and int(fields[_PARENT]) in family and child not in family
        }
        family |= more
        found = bool(more)
    ticks = sum(
        int(field)
        for member in family
        for field in (stats.get(member) or ["0"] * 15)[_USER : _CHILDREN_SYSTEM + 1]
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> list[str]:
    try:
        text = (path / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended meanwhile
        return []
    return text.rpartition(")")[2].split()
