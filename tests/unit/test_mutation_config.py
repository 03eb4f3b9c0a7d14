"""What is mutated, and by which tests: every name in the configuration stands for a file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
CONFIG: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"][
    "mutmut"
]
KERNEL = "services/kernel"
UNCHANGED = ("events", "settings")
"""Rooms of the kernel that only hold types and texts, but for the files that are named."""


def matched(pattern: str) -> set[Path]:
    return {path for path in REPOSITORY.glob(pattern) if path.is_file()}


@pytest.mark.parametrize("pattern", [*CONFIG["only_mutate"], *CONFIG["do_not_mutate"]])
def test_a_pattern_that_matches_no_file_is_an_error(pattern: str) -> None:
    assert matched(pattern), f"{pattern} matches nothing: it was moved, or is misspelt"


def test_what_is_excepted_would_be_mutated_otherwise() -> None:
    mutated = set().union(*map(matched, CONFIG["only_mutate"]))
    for pattern in CONFIG["do_not_mutate"]:
        assert matched(pattern) <= mutated


@pytest.mark.parametrize(
    "argument",
    [
        *CONFIG["pytest_add_cli_args_test_selection"],
        *(
            argument.removeprefix("--ignore=")
            for argument in CONFIG["pytest_add_cli_args"]
            if argument.startswith("--ignore=")
        ),
        *CONFIG["also_copy"],
    ],
)
def test_tests_that_are_chosen_or_left_out_exist(argument: str) -> None:
    assert (REPOSITORY / argument).exists(), argument


def test_every_room_that_decides_is_mutated() -> None:
    mutated = {path.parent for pattern in CONFIG["only_mutate"] for path in matched(pattern)}
    rooms = {path.parent for path in (REPOSITORY / KERNEL).rglob("*.py")}
    left_out = {str(room.relative_to(REPOSITORY / KERNEL)) for room in rooms - mutated}
    assert left_out <= {".", *UNCHANGED}
