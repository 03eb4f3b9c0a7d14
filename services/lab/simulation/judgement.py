"""What must hold after a simulation, whatever went wrong in it."""

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from services.cdb_ws.sources.synthetic import Synthetic
from services.kernel.events import AnyEvent, Clock, Instruments, Order, OrderResult, RunStarted
from services.kernel.events.codec import decode
from services.lab.simulation.record import MemoryRecord
from services.persistence.memory.database import MemoryDatabase
from services.proof.validation.validation import validate
from services.proof.verification.reexecution import reexecute
from services.record.reading import Span

MARKET = frozenset({"market_data", "clock", "instruments"})


class Judgement(NamedTuple):
    """What was found.

    Attributes:
        problems: Empty when everything held.
        lost, doubled: Market events of the source that the record lacks, or has twice.
        divergences: Decisions that the code does not make from the record.
        fills: Filled entries.
    """

    problems: list[str]
    events: int
    lost: int
    doubled: int
    divergences: int
    fills: int


def judge(database: MemoryDatabase) -> Judgement:
    """Check a record that nobody writes any more."""
    record = MemoryRecord(database)
    span = record.whole()
    events = [decode(body) for body in record.bodies(span)]
    problems = _validated(record, span)
    divergences, found = _verified(record, span)
    problems += found
    lost, doubled, found = _market(events)
    problems += found
    problems += _orders(database, events)
    twice = [name for name, n in Counter(event.event_id for event in events).items() if n > 1]
    if twice:
        problems.append(f"{len(twice)} events are recorded twice, the first is {twice[0]}")
    fills = sum(
        isinstance(event, OrderResult) and event.filled_quantity > 0 and not event.reduce_only
        for event in events
    )
    return Judgement(problems, len(events), lost, doubled, divergences, fills)


def _validated(record: MemoryRecord, span: Span) -> list[str]:
    found = validate(record, span)
    problems = [f"validate: {one.rule} at {one.seq}: {one.message}" for one in found.findings.first]
    if found.pending:
        problems.append(f"validate: {found.pending} orders or signals have no answer")
    return problems


def _verified(record: MemoryRecord, span: Span) -> tuple[int, list[str]]:
    found = reexecute(record.bodies(span), from_beginning=True)
    problems = []
    first = found.comparison.first
    if first is not None:
        problems.append(
            f"verify: {found.comparison.divergences} divergences, the first {first.kind} of"
            f" {first.stage} at {first.seq}, event {first.event_id}"
        )
    if found.missing:
        problems.append(f"verify: {found.missing} published events are missing: {found.first_hole}")
    if found.pending:
        problems.append(f"verify: {found.pending} outputs are not on the record")
    return found.comparison.divergences + found.pending, problems


def _market(events: list[AnyEvent]) -> tuple[int, int, list[str]]:
    """The source's events: each once, in their order, from the beginning to the end."""
    problems: list[str] = []
    runs = {event.run_id: event for event in events if isinstance(event, RunStarted)}
    recorded: dict[str, list[str]] = {run_id: [] for run_id in runs}
    for event in events:
        if type(event).__struct_config__.tag in MARKET:
            recorded.setdefault(event.run_id, []).append(event.event_id)
    lost = doubled = 0
    last = next(reversed(runs), None)
    for run_id, run in runs.items():
        ids = recorded[run_id]
        doubled += sum(count - 1 for count in Counter(ids).values() if count > 1)
        expected = list(_source(run))
        if run_id != last:
            expected = expected[: len(ids)]
        lost += len(set(expected).difference(ids))
        for place, (ours, theirs) in enumerate(zip_longest(ids, expected)):
            if ours != theirs:
                problems.append(
                    f"market of run {run_id[:8]}: event {place} is {ours}, not {theirs}"
                    f" ({len(ids)} recorded, {len(expected)} made)"
                )
                break
    return lost, doubled, problems


def _source(run: RunStarted) -> Iterator[str]:
    settings = run.settings
    symbols = tuple(settings["SYMBOL_WHITELIST"].split(","))
    lookback = int(settings["LOOKBACK_MINUTES"])
    source = Synthetic(run.run_id, run.seed, symbols, lookback)
    duration, began = int(settings["CDB_DURATION"]) * 1000, 0
    for _, event in source.steps():
        if not began and isinstance(event, Clock):
            began = event.timestamp
        if began and event.timestamp >= began + duration and not isinstance(event, Instruments):
            return
        yield event.event_id


def _orders(database: MemoryDatabase, events: list[AnyEvent]) -> list[str]:
    """Table ``orders`` has what the record has: one row for each order, with its last status."""
    problems = []
    made = {e.order_id: e for e in events if isinstance(e, Order)}
    last = {e.order_id: e for e in events if isinstance(e, OrderResult)}
    missing, extra = made.keys() - database.order_rows, database.order_rows.keys() - made
    if missing or extra:
        problems.append(f"orders: {len(missing)} of the record are missing, {len(extra)} extra")
    for order_id, result in last.items():
        row = database.order_rows.get(order_id)
        if row is not None and row["status"] != result.status.value:
            problems.append(f"orders: {order_id} is {row['status']}, not {result.status.value}")
    answered = {order_id for order_id in made if order_id in last}
    if len(answered) < len(made):
        problems.append(f"orders: {len(made) - len(answered)} orders never reached the market")
    if database.orders_cursor.seq > database.cursor.seq:
        problems.append("orders: the table is ahead of the record")
    return problems
