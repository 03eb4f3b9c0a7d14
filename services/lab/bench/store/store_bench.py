"""The store's benchmark: proof, answers and writing, each on the real servers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.lab.bench.pipeline_bench import machine
from services.lab.bench.store import explain, record, restart, writer
from services.lab.bench.store.record import BUSY, QUOTED
from services.runtime.database import migrations
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession
from services.runtime.settings.secrets import GENERATED

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StorePlan:
    """How much is measured.

    Attributes:
        verify_events: Ticks and clocks of each of the two runs that are re-executed.
        rows: Rows of ``events`` and ``market_data`` when ids are explained; 0 leaves that out.
        ids: How many of each kind are explained.
        writer_seconds: How long is published to the writer; 0 leaves that out.
        behind: Events on the record when services are killed; 0 leaves that out.
    """

    verify_events: int = 200_000
    rows: int = 10_000_000
    ids: int = 40
    writer_seconds: float = 60.0
    behind: int = 1_000_000


def run(folder: Path, plan: StorePlan, say: Say) -> dict[str, Any]:
    """Run all phases.

    Args:
        folder: For the phases' data; emptied before and after.
        plan: How much.
        say: Called with what goes on.

    Returns:
        The figures, JSON-able.

    Raises:
        SessionError: The system did not start, or broke.
        HomeError: The folder is in use or cannot be written.
    """
    home = Home(folder)
    figures: dict[str, Any] = {"machine": machine(folder)}
    with home.taken():
        home.clear()
        if plan.writer_seconds:
            say(f"the writer: ticks and decisions for {plan.writer_seconds:g} s")
            figures["writer"] = writer.measure(home, plan.writer_seconds)
        if plan.behind:
            say(f"restarts with {plan.behind:,} events behind")
            figures["restart"] = restart.measure(home, plan.behind, say)
        try:
            figures |= _record(home, plan, say)
        finally:
            home.clear()
    return figures


def _record(home: Home, plan: StorePlan, say: Say) -> dict[str, Any]:
    plans = (BUSY, QUOTED)
    with EmbeddedSession(home, {}) as session:
        session.start_servers()
        owner = session.database
        passwords = home.passwords(GENERATED)
        roles = {
            role: owner.as_user(role, passwords[f"POSTGRES_PASSWORD_{role.upper()}"])
            for role in migrations.SERVICE_ROLES
        }
        migrations.migrate(owner, role_passwords={n: r.password for n, r in roles.items()})
        say(f"a record of two runs, {plan.verify_events:,} ticks and clocks each")
        events = record.events_of(plans, plan.verify_events)
        record.write(roles["cdb_db_writer"], roles["cdb_execution"], events)
        say("verify and validate")
        figures = record.measure(owner, plans)
        if plan.rows:
            figures["explain"] = _explain(session, plan, say)
    return figures


def _explain(session: EmbeddedSession, plan: StorePlan, say: Say) -> dict[str, Any]:
    ids = record.sample_ids(session.database, plan.ids)
    say(f"{plan.rows:,} rows in the database")
    rows = explain.fill(session.database, plan.rows, say)
    say(f"explain {len(ids)} ids")
    session.start_services(())  # none, but commands find the servers
    command = explain.measure_command(session.home.folder, ids[0])
    return {
        "rows": rows,
        **explain.measure(session.database, ids),
        "command_ms": command,
    }
