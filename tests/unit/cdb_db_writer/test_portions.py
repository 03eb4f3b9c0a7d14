"""A transaction never ends between two outputs of one input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.cdb_db_writer.commit_boundary import end_of_portion, without_last_input
from services.kernel.events import AnyEvent
from tests import builders

pytestmark = pytest.mark.unit


def events(causes: str) -> list[AnyEvent]:
    """One event per letter: those with the same letter have the same cause, a dot has none."""
    return [
        replace(builders.condition(), causation_id=None if cause == "." else cause)
        for cause in causes
    ]


@pytest.mark.parametrize(
    ("causes", "limit", "ends"),
    [
        ("....", 2, [2, 4]),
        ("aabb", 2, [2, 4]),
        ("aabb", 3, [2, 4]),
        ("abbb", 2, [1, 4]),
        ("aaaaa", 2, [5]),
        ("a..b", 3, [3, 4]),
    ],
)
def test_portions(causes: str, limit: int, ends: list[int]) -> None:
    start, found = 0, []
    while start < len(causes):
        start = end_of_portion(events(causes), start, limit)
        found.append(start)
    assert found == ends


@pytest.mark.parametrize(
    ("causes", "sure"), [("a", 0), ("aa", 0), ("ab", 1), ("abb", 1), (".b", 1)]
)
def test_the_outputs_of_the_last_input_may_not_all_be_there(causes: str, sure: int) -> None:
    assert without_last_input(events(causes)) == sure


@given(st.text("ab.", min_size=1, max_size=30), st.integers(1, 10))
def test_no_portion_is_empty_and_none_tears_an_input_apart(causes: str, limit: int) -> None:
    start = 0
    while start < len(causes):
        end = end_of_portion(events(causes), start, limit)
        assert end > start
        torn = end < len(causes) and causes[end - 1] == causes[end] != "."
        assert not torn
        start = end
