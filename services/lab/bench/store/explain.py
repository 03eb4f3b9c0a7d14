"""How long `claire explain` takes on a large database."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from services.explain.archive import Archive, UnknownIdError
from services.explain.story import event_tree
from services.lab.bench.fill_latency import percentile
from services.persistence import chain
from services.record.database import DatabaseRecord
from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    connect,
    connect_to_read,
)

CHUNK: Final = 500_000
EVENTS_SHARE: Final = 0.5
"""Of the filling rows; in a running system one in ten is more than an ordinary day has."""
DAYS: Final = 10
UNKNOWN: Final = "z" * 32
COMMAND_SECONDS: Final = 60.0

Say = Callable[[str], None]


def fill(owner: DatabaseAddress, rows: int, say: Say) -> int:
    """Add rows to ``events`` and ``market_data``, as many as a long life leaves there.

    They stand behind the real record, on later days, with ids that look like real ones, and in
    all indexes.

    Args:
        owner: The database, as its owner.
        rows: Of both tables together, those that are there included.
        say: Called with what goes on.

    Returns:
        How many rows both tables have then.
    """
    with connect(owner, application="claire-bench") as connection:
        connection.autocommit = True
        connection.execute("SET statement_timeout = 0")
        # What is filled in is measured against, not kept: no wait for the disk at each commit.
        connection.execute("SET synchronous_commit = off")
        there, base = _row(connection, _THERE)
        wanted = max(0, rows - there)
        events = round(wanted * EVENTS_SHARE)
        last, first_day = _row(connection, _LAST)
        for day in range(1, DAYS + 1):
            connection.execute("SELECT ensure_market_data_day(%s::date + %s)", (first_day, day))
        parameters = {"base": base, "day": last, "count": wanted, "genesis": chain.GENESIS}
        for statement, lower, upper in (
            (_FILL_EVENTS, 0, events),
            (_FILL_MARKET_DATA, events, wanted),
        ):
            for start in range(lower, upper, CHUNK):
                end = min(upper, start + CHUNK)
                connection.execute(statement, parameters | {"from": start + 1, "to": end})
                say(f"  {there + end:,} of {rows:,} rows")
        connection.execute("ANALYZE events, market_data")
        return int(_row(connection, _THERE)[0])


def measure(owner: DatabaseAddress, ids: Sequence[str]) -> dict[str, Any]:
    """Explain many ids in this process, each once, as the command does it.

    Args:
        owner: The database.
        ids: Of what is in it.

    Returns:
        Milliseconds, and what an id that does not exist takes.
    """
    milliseconds: list[float] = []
    with connect_to_read(owner, application="claire-bench") as connection:
        record = DatabaseRecord(connection)
        archive = Archive(record.connection)
        for identity in ids:
            began = time.perf_counter()
            story = event_tree(archive, archive.find(identity))
            json.dumps(story.to_json())
            milliseconds.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        try:
            archive.find(UNKNOWN)
        except UnknownIdError:
            unknown = (time.perf_counter() - began) * 1000
        record.close()
    return {
        "ids": len(milliseconds),
        "p50_ms": round(percentile(milliseconds, 0.5), 3),
        "p99_ms": round(percentile(milliseconds, 0.99), 3),
        "max_ms": round(max(milliseconds), 3),
        "unknown_id_ms": round(unknown, 3),
    }


def measure_command(home: Path, identity: str) -> float:
    """Milliseconds of one `claire explain ID --json`, the start of Python included."""
    command = (sys.executable, "-m", "services.cli.main", "explain", identity, "--json")
    environment = os.environ | {"CLAIRE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - this program
        command, check=True, capture_output=True, timeout=COMMAND_SECONDS, env=environment
    )
    return round((time.perf_counter() - began) * 1000, 1)


def _row(connection: Connection, statement: str) -> Any:
    return connection.execute(statement).fetchone()


_THERE: Final = """
    SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM market_data),
           greatest((SELECT max(seq) FROM events), (SELECT max(seq) FROM market_data))
"""
_LAST: Final = """
    SELECT max("timestamp"), max("timestamp")::date FROM market_data
"""
_AT: Final = (
    f"date_trunc('day', %(day)s) + interval '1 day' + interval '{DAYS} days' * n / (%(count)s + 1)"
)
_FILL_EVENTS: Final = f"""
    INSERT INTO events (seq, topic, topic_seq, event_id, type, producer, run_id, "timestamp",
                        causation_id, correlation_id, schema_version, external, body, chain_hash)
    SELECT %(base)s + n, 'signals', n, md5('event' || n),
           (ARRAY['signal', 'risk_decision', 'order', 'order_result', 'portfolio_snapshot'])
               [1 + n %% 5],
           'cdb_core', md5('run' || n / 100000), {_AT}, md5('tick' || n / 3), md5('story' || n / 5),
           1, false, json_build_object('type', 'filler', 'n', n), %(genesis)s
    FROM generate_series(%(from)s::bigint, %(to)s) AS n
"""  # noqa: S608 - a constant
_FILL_MARKET_DATA: Final = f"""
    INSERT INTO market_data (seq, topic_seq, event_id, run_id, "timestamp", kind, symbol, price,
                             volume, backfill, body)
    SELECT %(base)s + n, n, md5('tick' || n), md5('run' || n / 100000), {_AT}, 'trade',
           'BTC_USDT', 64000 + n %% 1000, 0.01, false, json_build_object('type', 'filler', 'n', n)
    FROM generate_series(%(from)s::bigint, %(to)s) AS n
"""  # noqa: S608 - a constant
