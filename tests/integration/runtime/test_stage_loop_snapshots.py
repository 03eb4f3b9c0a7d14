"""A stage restarts from its snapshot, and without a usable one from the journal."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.kernel.events import topics
from services.runtime.bus import snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.snapshots import Snapshot
from services.runtime.consumer.loop_context import LoopContext
from tests.bus_builders import run_ended, run_started, tick
from tests.deadline import wait_until
from tests.fake_stages import RelayStage
from tests.integration.runtime.test_stage_loop import (
    identity,
    loop_for,
    recorded,
    running,
)
from tests.servers import RedisServer

pytestmark = pytest.mark.integration
BusOf = Callable[[str], Bus]


def test_a_restart_goes_on_from_the_snapshot(open_redis: RedisServer, bus_of: BusOf) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    ws.publish([tick(n) for n in range(100)])
    with running(loop_for(open_redis, "cdb_core")):
        wait_until(lambda: watcher.cursor_of("cdb_core").seq >= 100, "the first hundred")
    snapshot = snapshots.load(watcher, "cdb_core")
    assert snapshot is not None
    assert snapshot.cursor >= 100
    again = loop_for(open_redis, "cdb_core")
    ws.publish([tick(n) for n in range(100, 200)])
    with running(again):
        wait_until(lambda: len(recorded(watcher, ["signals"])) >= 67, "all signals")
    assert again.counters["inputs"] == 100
    stage = RelayStage("cdb_core")
    expected = [output for n in range(200) for output in stage.handle(tick(n))]
    assert identity(recorded(watcher, ["signals"])) == identity(expected)


def damaged(_: Snapshot) -> dict[str, object]:
    return {"state": b'{"handled":1,"past":""}'}


def without_a_number(_: Snapshot) -> dict[str, object]:
    return {"cursor": "soon"}


def of_another_layout(saved: Snapshot) -> dict[str, object]:
    state = saved.state.replace(b'{"handled"', b'{"seen"')
    return replace(saved, state=state).fields()


def with_another_context(saved: Snapshot) -> dict[str, object]:
    return replace(saved, context=b'{"run_id":null}').fields()


def ahead_of_the_bus(saved: Snapshot) -> dict[str, object]:
    return replace(saved, cursor=9_000_000).fields()


def of_another_epoch(saved: Snapshot) -> dict[str, object]:
    return replace(saved, epoch="before").fields()


@pytest.mark.parametrize(
    "change",
    [
        damaged,
        without_a_number,
        of_another_layout,
        with_another_context,
        ahead_of_the_bus,
        of_another_epoch,
    ],
)
def test_a_snapshot_that_cannot_be_used_is_made_again_from_the_journal(
    open_redis: RedisServer, bus_of: BusOf, change: Callable[[Snapshot], dict[str, object]]
) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    ws.publish([tick(n) for n in range(100)])
    with running(loop_for(open_redis, "cdb_core")):
        wait_until(lambda: watcher.cursor_of("cdb_core").seq >= 100, "the first hundred")
    saved = snapshots.load(watcher, "cdb_core")
    assert saved is not None
    with open_redis.admin() as admin:
        admin.hset("cdb:snapshot:cdb_core", mapping=change(saved))
    ws.publish([tick(n) for n in range(100, 200)])
    with running(loop_for(open_redis, "cdb_core")):
        wait_until(lambda: len(recorded(watcher, ["signals"])) >= 67, "all signals")
    stage = RelayStage("cdb_core")
    expected = [output for n in range(200) for output in stage.handle(tick(n))]
    assert identity(recorded(watcher, ["signals"])) == identity(expected)


def trimmed_before(server: RedisServer, seq: int) -> None:
    """Let the journals begin at a seq, as far as anybody can see."""
    with server.admin() as admin:
        for name in topics.SERVICES:
            admin.hset(f"cdb:cursor:{name}", "trimmed", seq)


def test_a_stage_without_a_snapshot_begins_with_the_run_that_the_journal_holds(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    ws.publish([tick(n) for n in range(10)])
    begun = bus_of("cdb_paper_runner").publish([run_started(), run_ended()]).first_seq
    last = ws.publish([tick(n) for n in range(10, 20)]).last_seq
    trimmed_before(open_redis, begun)
    loop = loop_for(open_redis, "cdb_core")
    with running(loop):
        wait_until(lambda: watcher.cursor_of("cdb_core").seq >= last, "the run")
    assert loop.stage.status() == {"handled": 12}


def test_a_stage_whose_run_is_nowhere_asks_for_its_snapshot_and_keeps_the_journal(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    begun = bus_of("cdb_paper_runner").publish([run_started()]).first_seq
    last = ws.publish([tick(n) for n in range(20)]).last_seq
    trimmed_before(open_redis, begun + 5)
    reasons: list[str] = []
    with running(loop_for(open_redis, "cdb_core", on_wait=reasons.append)):
        wait_until(lambda: snapshots.asked(watcher, ["cdb_core"]) == ["cdb_core"], "its question")
        with open_redis.admin() as admin:
            assert admin.hget("cdb:snapshot:cdb_core", "cursor") == b"%d" % (begun + 4)
            # When somebody answers it
            state = RelayStage("cdb_core").snapshot()
            epoch = ws.own_claim().epoch
            made = Snapshot("cdb_core", state, begun + 10, epoch, LoopContext().snapshot())
            admin.hset("cdb:snapshot:cdb_core", mapping=made.fields())
        wait_until(lambda: watcher.cursor_of("cdb_core").seq >= last, "the rest of the run")
    assert "there is no snapshot of cdb_core" in reasons[0]
    assert "waiting for cdb_db_writer to make it again from the record" in reasons[0]
    assert snapshots.asked(watcher, ["cdb_core"]) == []
