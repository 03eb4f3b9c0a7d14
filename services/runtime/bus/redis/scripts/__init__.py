"""The server-side scripts, and the table that completes them."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path

from services.kernel.events import topics

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the digest that the server knows it by."""

    text: str
    digest: str


@cache
def script(name: str, *, allow_oom: bool = False) -> Script:
    """The script of that name, ready to be loaded.

    Args:
        name: ``publish``, ``claim``, ``snapshot`` or ``trim``.
        allow_oom: Let it run when the server's memory is full: what acknowledges or trims makes
            room, and clock and control go on.
    """
    body = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    # A script with such a first line is refused whole, before its start, when memory or disk are
    # short; one without it fails at the first command that writes too much.
    first_line = "#!lua flags=allow-oom" if allow_oom else "#!lua"
    text = f"{first_line}\n{_tables() if name == 'publish' else ''}{body}"
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _tables() -> str:
    stages = ", ".join(f"'{name}'" for name in topics.STAGE_ORDER)
    return f"local STAGE_ORDER = {{{stages}}}\n"
