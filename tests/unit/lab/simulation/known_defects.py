"""Defects of this project's history and their like, put back one at a time.

Run ``python -m tests.unit.lab.simulation.known_defects`` for the table in SYSTEM_SOAK.md.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from services.cdb_db_writer.writer import RecordService
from services.kernel.events import topics
from services.lab.simulation.system_run import play
from services.lab.soak.seeds import be_quiet
from services.persistence.order_follower import OrderFollower
from services.runtime.bus import journal, recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.memory import library
from services.runtime.bus.subscription import Subscription
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.database.address import DatabaseAwayError

SEEDS = 200
Defect = Callable[[], Any]


def inputs_received_count_as_handled() -> Any:
    """R1: after a broken call the loop goes on behind what it had only received."""

    def begin_again(loop: Any, reason: str, backoff: Any) -> None:
        received = loop._subscription.position if loop._subscription else None
        loop._close_subscription()
        loop._note_wait(reason)
        backoff.wait(loop.stopping)
        if received is not None and loop._intake is not None:
            loop._subscribe(received)

    return patch.object(StageLoop, "_begin_again", begin_again)


def snapshots_are_copied_early() -> Any:
    """A stage's snapshot is kept before the record has what the stage had published by then."""
    copy = RecordService._copy_snapshots

    def at_once(writer: Any) -> Any:
        for snapshot in copy(writer):
            writer.store.keep_snapshot(snapshot)
        return []

    return patch.object(RecordService, "_copy_snapshots", at_once)


def the_journal_is_trimmed_too_far() -> Any:
    """A journal is trimmed behind its own service's snapshot, whoever still needs it."""

    def trim(bus: Bus) -> int:
        cursor = bus.run(("HGET", f"cdb:cursor:{bus.service}", "seq"))[0]
        if cursor and int(cursor) > 0:
            bus.run(("FCALL", "cdb_trim", 0, bus.service, int(cursor) + 1))
        return 0

    return patch.object(journal, "trim", trim)


def tables_are_ahead_of_the_record() -> Any:
    """Orders are written down before the record has them."""
    return patch.object(OrderFollower, "_is_recorded", lambda *_: True)


def a_lost_answer_is_a_second_publication() -> Any:
    """The server does not know a publication that comes again."""
    real = library._repeated

    def repeated(mine: Any, head: int, args: Any) -> Any:
        if mine.get(b"ticket") == args[3]:
            return None
        return real(mine, head, args)

    return patch.object(library, "_repeated", repeated)


def a_second_instance_is_not_fenced() -> Any:
    """Whoever claimed first may go on publishing."""

    def fenced(data: Any, _mine: Any, args: Any) -> Any:
        return None if data.get(b"cdb:epoch") == args[1] else [b"EPOCH", b"another epoch"]

    def repeated(*_: Any) -> Any:
        return None

    return _both(
        patch.object(library, "_fenced", fenced), patch.object(library, "_repeated", repeated)
    )


def a_commit_of_unknown_outcome_counts_as_made() -> Any:
    """The writer goes on as if the transaction had been written."""
    real = RecordService._commit

    def commit(writer: Any, events: Any, bodies: Any, upto: int, keep: Any) -> None:
        try:
            real(writer, events, bodies, upto, keep)
        except DatabaseAwayError:
            writer.committed_seq = upto

    return patch.object(RecordService, "_commit", commit)


def the_position_is_published_apart() -> Any:
    """The source notes its place in a second call after its events."""
    real = Bus.publish

    def publish(bus: Bus, events: Sequence[Any], **given: Any) -> Any:
        if given.get("position") is None or not events:
            return real(bus, events, **given)
        published = real(bus, events)
        real(bus, [], position=given["position"])
        return published

    return patch.object(Bus, "publish", publish)


def outputs_are_made_again_after_a_restart() -> Any:
    """A restarted stage acknowledges apart from its outputs."""
    real = Bus.publish

    def publish(bus: Bus, events: Sequence[Any], **given: Any) -> Any:
        if given.get("cursor") is None or not events:
            return real(bus, events, **given)
        published = real(bus, events)
        real(bus, [], cursor=given["cursor"])
        return published

    return patch.object(Bus, "publish", publish)


def a_dropped_subscriber_does_not_catch_up() -> Any:
    """What was published while the connection was away is not read from the journal."""
    real = Subscription._approach

    def approach(subscription: Any) -> Any:
        if subscription.drops:
            subscription.position = subscription._bus.heads().seq
        return real(subscription)

    return patch.object(Subscription, "_approach", approach)


def stages_publish_out_of_turn() -> Any:
    """In lock-step nobody waits for the stages before."""
    return patch.object(library, "_early", lambda *_: None)


def the_bus_opens_without_a_look_at_the_record() -> Any:
    """A server that came back with less is taken for complete."""

    def run(restoration: Any) -> Any:
        return recovery.Opened(_opened(restoration))

    def _opened(restoration: Any) -> str:
        life = recovery.server_life(restoration._redis.call("INFO", "server"))
        epoch = restoration._redis.call("GET", "cdb:epoch") or restoration._new_epoch()
        restoration._redis.call("SET", "cdb:verified", life)
        return str(epoch.decode())

    return patch.object(recovery._Restoration, "run", run)


def pending_events_survive_a_failed_commit() -> Any:
    """The writer keeps what it had received when it begins again behind the record."""

    def keep(writer: Any, written: int | None = None) -> None:
        if written is not None:
            writer._events, writer._bodies = writer._events[written:], writer._bodies[written:]
            writer._waiting_since = None if not writer._events else time.monotonic()

    return patch.object(RecordService, "_drop_pending", keep)


DEFECTS: tuple[Defect, ...] = (
    inputs_received_count_as_handled,
    snapshots_are_copied_early,
    the_journal_is_trimmed_too_far,
    tables_are_ahead_of_the_record,
    a_lost_answer_is_a_second_publication,
    a_second_instance_is_not_fenced,
    a_commit_of_unknown_outcome_counts_as_made,
    the_position_is_published_apart,
    outputs_are_made_again_after_a_restart,
    a_dropped_subscriber_does_not_catch_up,
    stages_publish_out_of_turn,
    the_bus_opens_without_a_look_at_the_record,
    pending_events_survive_a_failed_commit,
)


@contextmanager
def _both(*patches: Any) -> Iterator[None]:
    with patches[0], patches[1]:
        yield


def found_after(defect: Defect, seeds: int = SEEDS) -> tuple[int, str] | None:
    """The number of seeds that it takes to see a defect, and the first problem."""
    with defect():
        for seed in range(seeds):
            problems = play(seed).problems
            if problems:
                return seed + 1, problems[0]
    return None


def main(names: Sequence[str]) -> None:
    """Print one row of the table for each defect."""
    be_quiet()
    assert topics.SERVICES
    for defect in DEFECTS:
        if names and defect.__name__ not in names:
            continue
        found = found_after(defect)
        seeds, problem = (str(found[0]), found[1]) if found else ("not found", "")
        what = (defect.__doc__ or "").strip()
        sys.stdout.write(f"| {what} | {seeds} | {problem[:110]} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
