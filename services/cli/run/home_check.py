"""Whether a run may begin on the record that a home already has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from services.runtime.database.connections import Connection


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the next run is to be; the orchestrator continues an open run that is the same.

    Attributes:
        settings: As ``run_started`` records them.
        first_tick: Event time of its first tick, Unix ms; None for a live market.
    """

    settings: Mapping[str, str]
    seed: int
    code_version: str
    first_tick: int | None


def find_problem(connection: Connection, wanted: Wanted) -> str | None:
    """What keeps a run from beginning on this record, and the remedy; None when nothing does.

    Args:
        connection: The home's database, perhaps without tables yet; only read.
        wanted: The run.
    """
    try:
        if halt := _halt(connection):
            return halt
        return None if _goes_on(connection, wanted) else _later_clock(connection, wanted)
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        return None  # nothing was ever recorded here


def _halt(connection: Connection) -> str | None:
    row = connection.execute(
        "SELECT state, reason FROM trading_state_changes WHERE symbol IS NULL"
        " ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if row is None or row[0] != "HALTED":
        return None
    return (
        f"trading was halted ({row[1]}); release it with"
        ' `claire reset --on embedded --reason "..."`, or begin again with --fresh'
    )


def _goes_on(connection: Connection, wanted: Wanted) -> bool:
    row = connection.execute(
        "SELECT ended_at IS NULL, settings, seed, code_version FROM runs ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return row == (True, dict(wanted.settings), wanted.seed, wanted.code_version)


def _later_clock(connection: Connection, wanted: Wanted) -> str | None:
    first_tick = wanted.first_tick
    row = connection.execute(
        'SELECT (extract(epoch FROM "timestamp") * 1000)::bigint FROM market_data'
        " WHERE kind = 'clock' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if first_tick is None or row is None or row[0] <= first_tick:
        return None
    return (
        f"its last clock ({_utc(row[0])}) is later than the first tick ({_utc(first_tick)}), and"
        " time does not go back; begin again with --fresh"
    )


def _utc(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
