"""What is wrong with a .env that loads: names given twice, and passwords that are weak."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

from services.runtime.settings.secrets import GENERATED

LEAST_PASSWORD_CHARACTERS: Final = 16
_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


def problems(path: Path) -> list[tuple[str, str]]:
    """What is wrong and what to do, for each problem; no value of a password is shown.

    Args:
        path: A `.env` that exists.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    given = [match.groups() for line in lines if (match := _NAME.match(line))]
    times = Counter(name for name, _ in given)
    repeated = [name for name in sorted(times) if times[name] > 1]
    values = {name: value.strip("'\"") for name, value in given}
    passwords = {name: values[name] for name in GENERATED if values.get(name)}
    users = Counter(passwords.values())
    again = "empty it and run `claire init`"
    return [
        *(
            (f"{name} is given {times[name]} times; the last one counts", "keep one line")
            for name in repeated
        ),
        *((f"{name} is weak", again) for name in passwords if _is_weak(passwords[name])),
        *(
            (f"{name} is also another password", again)
            for name in sorted(passwords)
            if users[passwords[name]] > 1
        ),
    ]


def _is_weak(password: str) -> bool:
    varied = len(set(password)) >= LEAST_PASSWORD_CHARACTERS / 2
    return len(password) < LEAST_PASSWORD_CHARACTERS or not varied
