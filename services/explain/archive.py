"""Questions to the record's tables, each answered through an index."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from services.kernel.events import AnyEvent, OrderResult, PortfolioSnapshot
from services.kernel.events.codec import decode
from services.persistence.chain import TICK_BATCH
from services.persistence.tables import time_of
from services.runtime.database.connections import Connection

NEAR_SEQS: Final = (2_000, 200_000, 5_000_000)
"""How far before its effect a tick is looked for, in steps; it is nearly always close."""

LIKE_IDS: Final = 5_000
"""Newest ids among which one that looks like a mistyped one is sought."""

SAME_BEGINNING: Final = 6
"""Characters that two ids share only when one was copied from the other."""

LONGEST_STORY: Final = 5_000


class UnknownIdError(LookupError):
    """No event has this id; the message names the nearest ones."""


class Archive:
    """The record behind one connection.

    Args:
        connection: As a role that may read everything.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, identity: str) -> AnyEvent:
        """The event that an id, or an unambiguous beginning of one, belongs to.

        Args:
            identity: Of a signal, decision, order, trade, alert or any other event, ticks too.

        Raises:
            UnknownIdError: There is none, or several begin so.
        """
        for statement in _BY_ID:
            row = self._connection.execute(statement, {"id": identity}).fetchone()
            if row is not None:
                return decode(row[0].encode())
        tick = self._any_tick(identity)
        if tick is not None:
            return tick
        return self._by_beginning(identity)

    def event(self, event_id: str | None) -> AnyEvent | None:
        """The event of table ``events`` with this id."""
        if event_id is None:
            return None
        row = self._connection.execute(_BY_ID[0], {"id": event_id}).fetchone()
        return decode(row[0].encode()) if row else None

    def tick(self, event_id: str | None, effect: AnyEvent) -> AnyEvent | None:
        """The tick or clock that caused something; an effect has its cause's time."""
        if event_id is None:
            return None
        for near in NEAR_SEQS:
            parameters = {
                "id": event_id,
                "at": time_of(effect.timestamp),
                "after": effect.seq - near,
                "before": effect.seq,
            }
            row = self._connection.execute(_TICK, parameters).fetchone()
            if row is not None:
                return decode(row[0].encode())
        return None

    def story_of(self, correlation_id: str) -> list[AnyEvent]:
        """Everything that one signal led to, in order."""
        parameters = {"id": correlation_id, "most": LONGEST_STORY}
        return self._events(_CORRELATED, parameters)

    def effects_of(self, event_id: str) -> list[AnyEvent]:
        """What one event caused directly, in order."""
        return self._events(_CAUSED, {"id": event_id, "most": LONGEST_STORY})

    def results_of(self, order_id: str) -> list[AnyEvent]:
        """What became of an order that no signal led to, in order."""
        row = self._connection.execute(_ORDER_SPAN, {"id": order_id}).fetchone()
        if row is None:
            return []
        run_id, first, last = row
        parameters = {"run": run_id, "after": first, "before": last + 1}
        found = self._events(_RESULTS, parameters)
        return [r for r in found if isinstance(r, OrderResult) and r.order_id == order_id]

    def trades_of(self, order_id: str) -> list[dict[str, Any]]:
        """The closing fills of an order, as table ``trades`` has them."""
        rows = self._connection.execute(_TRADES, {"id": order_id}).fetchall()
        return [row[0] for row in rows]

    def snapshot_before(self, event: AnyEvent) -> PortfolioSnapshot | None:
        """The last portfolio snapshot of the run that was published before an event."""
        parameters = {"run": event.run_id, "seq": event.seq}
        row = self._connection.execute(_SNAPSHOT, parameters).fetchone()
        if row is None:
            return None
        snapshot = decode(row[0].encode())
        assert isinstance(snapshot, PortfolioSnapshot)
        return snapshot

    def fills_between(self, event: AnyEvent, after: int) -> list[OrderResult]:
        """The run's fills behind ``after``, before an event."""
        parameters = {"run": event.run_id, "after": after, "before": event.seq}
        rows = self._connection.execute(_RESULTS, parameters).fetchall()
        found = [decode(row[0].encode()) for row in rows]
        return [r for r in found if isinstance(r, OrderResult) and r.filled_quantity > 0]

    def _events(self, statement: str, parameters: dict[str, Any]) -> list[AnyEvent]:
        rows = self._connection.execute(statement, parameters).fetchall()
        return [decode(row[0].encode()) for row in rows]

    def _any_tick(self, identity: str) -> AnyEvent | None:
        """A tick that caused something is found by what it caused."""
        effects = self.effects_of(identity)
        return self.tick(identity, effects[0]) if effects else None

    def _by_beginning(self, identity: str) -> AnyEvent:
        found: Sequence[str] = ()
        if len(identity) >= 4:
            found = self._ids(_BEGINNING, {"id": identity, "end": identity + "g"})
            if len(found) == 1:
                return self.find(found[0])
        if found:
            raise UnknownIdError(f"several ids begin with {identity!r}: {', '.join(found)}")
        raise UnknownIdError(
            f"no signal, decision, order, trade, alert or event has the id {identity!r};"
            f" {self._nearest(identity)}"
        )

    def _nearest(self, identity: str) -> str:
        """Ids that a mistyped one may have been: those that begin like it, and those like it."""
        neighbours = [
            name for statement in _AROUND for name in self._ids(statement, {"id": identity})
        ]
        alike = [name for name in neighbours if name[:SAME_BEGINNING] == identity[:SAME_BEGINNING]]
        newest = self._ids(_NEWEST, {"most": LIKE_IDS})
        near = alike or get_close_matches(identity, newest, n=3, cutoff=0.5)
        if near:
            return f"the nearest are {', '.join(near[:3])}"
        return f"the newest are {', '.join(newest[:3])}" if newest else "nothing is recorded yet"

    def _ids(self, statement: str, parameters: dict[str, Any]) -> list[str]:
        return [row[0] for row in self._connection.execute(statement, parameters).fetchall()]


_BY_ID: Final = (
    "SELECT body::text FROM events WHERE event_id = %(id)s",
    "SELECT body::text FROM events WHERE event_id ="
    " (SELECT event_id FROM orders WHERE order_id = %(id)s)",
    "SELECT body::text FROM events WHERE seq = (SELECT seq FROM trades WHERE trade_id = %(id)s)",
    "SELECT body::text FROM events WHERE seq ="
    " (SELECT seq FROM risk_decisions WHERE decision_id = %(id)s LIMIT 1)",
    "SELECT body::text FROM events WHERE seq ="
    " (SELECT seq FROM signals WHERE signal_id = %(id)s LIMIT 1)",
)
_TICK: Final = """
    SELECT body::text FROM market_data
    WHERE seq > %(after)s AND seq < %(before)s AND "timestamp" = %(at)s AND event_id = %(id)s
"""
_CORRELATED: Final = """
    SELECT body::text FROM events WHERE correlation_id = %(id)s ORDER BY seq LIMIT %(most)s
"""
_CAUSED: Final = """
    SELECT body::text FROM events WHERE causation_id = %(id)s ORDER BY seq LIMIT %(most)s
"""
_ORDER_SPAN: Final = "SELECT run_id, seq, updated_seq FROM orders WHERE order_id = %(id)s"
_TRADES: Final = "SELECT to_json(t) FROM trades AS t WHERE order_id = %(id)s ORDER BY seq"
_SNAPSHOT: Final = """
    SELECT body::text FROM events WHERE run_id = %(run)s AND type = 'portfolio_snapshot'
    AND seq < %(seq)s ORDER BY seq DESC LIMIT 1
"""
_RESULTS: Final = """
    SELECT body::text FROM events WHERE run_id = %(run)s AND type = 'order_result'
    AND seq > %(after)s AND seq < %(before)s ORDER BY seq
"""
_BEGINNING: Final = """
    SELECT event_id FROM events WHERE event_id >= %(id)s AND event_id < %(end)s LIMIT 4
"""
_AROUND: Final = (
    "SELECT event_id FROM events WHERE event_id > %(id)s ORDER BY event_id LIMIT 2",
    "SELECT event_id FROM events WHERE event_id < %(id)s ORDER BY event_id DESC LIMIT 2",
)
_NEWEST: Final = f"""
    SELECT event_id FROM (SELECT event_id, seq, type FROM events ORDER BY seq DESC
    LIMIT %(most)s) AS newest WHERE type <> '{TICK_BATCH}' ORDER BY seq DESC
"""  # noqa: S608 - a constant
