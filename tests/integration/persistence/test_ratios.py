"""An account without equity is recorded: its ratios are null in the table, too."""

import pytest

from services.kernel.pipeline import Pipeline
from services.persistence.record_store import RecordStore
from services.persistence.recorder import Recorder
from tests import builders
from tests.recorded import published
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("equity", "expected"), [(0, (None, None, None)), (100, (0, 0, 0))])
def test_the_writer_stores_the_ratios_of_a_snapshot(
    postgres_server: PostgresServer, equity: int, expected: tuple[int | None, ...]
) -> None:
    started = builders.run_started(opening=builders.account(equity))
    events = list(Pipeline().run([started, builders.clock()]))
    store = RecordStore(postgres_server.role("cdb_db_writer"))
    recorder = Recorder(store.open())

    store.commit(
        recorder.prepare(events, [published(e) for e in events], upto=events[-1].seq, epoch="epoch")
    )
    store.close()

    rows = postgres_server.query(
        "SELECT exposure_pct, daily_drawdown_pct, drawdown_pct FROM portfolio_snapshots"
    )
    assert rows == [expected]
