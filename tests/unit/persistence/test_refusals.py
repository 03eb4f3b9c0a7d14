"""Of a batch that the database refuses, only what it cannot hold is set aside."""

import pytest
from msgspec.structs import replace

from services.persistence.recorder import UnstorableError
from services.persistence.refusals import commit_all
from services.runtime.bus.batch import Batch
from services.runtime.database.address import DatabaseAwayError, DataRefusedError
from tests.bus_builders import tick

pytestmark = pytest.mark.unit


class Table:
    """Refuses some events; keeps what it was given, with the position."""

    def __init__(self, *refused: int, error: type[Exception] = DataRefusedError) -> None:
        self.refused = refused
        self.error = error
        self.committed: list[tuple[list[int], int]] = []
        self.set_aside: list[tuple[int, int, str]] = []

    def commit(self, batch: Batch) -> None:
        numbers = [int(body) for body in batch.bodies]
        if any(number in self.refused for number in numbers):
            raise self.error("no")
        self.committed.append((numbers, batch.upto))

    def refuse(self, batch: Batch, why: str) -> None:
        [body] = batch.bodies
        self.set_aside.append((int(body), batch.upto, why))


def batch_of(count: int, upto: int) -> Batch:
    events = [replace(tick(n), seq=n * 10) for n in range(1, count + 1)]
    return Batch(list(events), [b"%d" % n for n in range(1, count + 1)], upto=upto)


def test_a_batch_that_is_not_refused_is_committed_as_it_is() -> None:
    table = Table()
    commit_all(batch_of(3, 99), table.commit, table.refuse)
    assert table.committed == [([1, 2, 3], 99)]


@pytest.mark.parametrize("error", [DataRefusedError, UnstorableError])
def test_the_one_that_is_refused_is_found_and_everything_else_is_committed_in_order(
    error: type[Exception],
) -> None:
    table = Table(3, error=error)
    commit_all(batch_of(5, 99), table.commit, table.refuse)
    assert table.committed == [([1, 2], 20), ([4, 5], 99)]
    assert table.set_aside == [(3, 30, "no")]


def test_the_last_one_that_is_refused_moves_the_position_to_the_end() -> None:
    table = Table(2)
    commit_all(batch_of(2, 99), table.commit, table.refuse)
    assert table.committed == [([1], 10)]
    assert table.set_aside == [(2, 99, "no")]


def test_a_refusal_without_an_event_is_passed_on() -> None:
    def refuse_position(_: Batch) -> None:
        raise DataRefusedError("the position")

    with pytest.raises(DataRefusedError, match="the position"):
        commit_all(Batch(upto=9), refuse_position, Table().refuse)


def test_a_database_that_is_away_refuses_nothing() -> None:
    table = Table(1, error=DatabaseAwayError)
    with pytest.raises(DatabaseAwayError):
        commit_all(batch_of(2, 99), table.commit, table.refuse)
    assert table.set_aside == []
