"""The hash chain: any change anywhere changes everything behind it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import codec
from services.persistence import chain
from tests.bus_builders import tick

pytestmark = pytest.mark.unit

ROWS = [(1, b"a"), (2, b"bb"), (5, b"c")]


def head(rows: list[tuple[int, bytes]]) -> bytes:
    value = chain.GENESIS
    for seq, body in rows:
        value = chain.link(value, seq, body)
    return value


@pytest.mark.parametrize(
    "rows",
    [
        [(1, b"a"), (2, b"bX"), (5, b"c")],
        [(1, b"a"), (5, b"c")],
        [(2, b"a"), (1, b"bb"), (5, b"c")],
        [(1, b"a"), (2, b"bb"), (6, b"c")],
        [(1, b"a"), (2, b"bb")],
    ],
)
def test_a_changed_removed_swapped_or_cut_row_changes_the_head(
    rows: list[tuple[int, bytes]],
) -> None:
    assert head(rows) != head(ROWS)


@given(st.lists(st.binary(max_size=8).filter(lambda b: b"\n" not in b), min_size=2, max_size=6))
def test_the_digest_of_ticks_knows_their_bounds_and_order(bodies: list[bytes]) -> None:
    digest = chain.digest_ticks(bodies)

    assert chain.digest_ticks([b"".join(bodies)]) != digest
    assert chain.digest_ticks(bodies[1:]) != digest
    if any(a != b for a, b in pairwise(bodies)):
        assert chain.digest_ticks(sorted(bodies)) != digest or sorted(bodies) == bodies


def test_a_batch_of_ticks_says_what_it_covers() -> None:
    events = [tick(1), tick(2)]
    bodies = [codec.encode(event) for event in events]

    row = chain.tick_batch(bodies, events[0], events[1])

    assert (row.count, row.run_id, row.timestamp) == (2, events[1].run_id, events[1].timestamp)
    assert row.sha256 == chain.digest_ticks(bodies)
