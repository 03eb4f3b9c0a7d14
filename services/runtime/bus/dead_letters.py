"""Dead letters: what could not be understood is kept, counted and told, and stops nobody."""

from collections import Counter, deque

from services.kernel.events import SCHEMA_VERSION, Alert, AlertLevel, AlertPhase
from services.kernel.events.ids import make_id
from services.runtime import host
from services.runtime.bus.bus import Bus, ReplyError, Unavailable

CODE = "DEAD_LETTER"
KEPT = 1000
KEPT_BYTES = 4096
KEPT_DETAIL = 200
WAITING = 100
COUNT_EVERY_MS = 60_000


class DeadLetters:
    """One service's dead letters.

    Args:
        bus: Where they are kept (``cdb:dead:<service>``, the newest 1000).
    """

    def __init__(self, bus: Bus) -> None:
        self.counts: Counter[str] = Counter()
        self._bus = bus
        self._waiting: deque[tuple[str, str, bytes, int, str]] = deque(maxlen=WAITING)
        self._last = ("", "", "")
        self._alerted_at: int | None = None
        self._alerted_count = 0

    @property
    def total(self) -> int:
        """How many there were since the start of the process."""
        return self.counts.total()

    def put(self, reason: str, topic: str, body: bytes, detail: str = "") -> None:
        """Keep a message that nobody can use. Never fails: while the bus is away it waits.

        Args:
            reason: Upper-case code, for instance ``NOT_IN_JOURNAL``.
            topic: Channel it came on.
            body: The message; kept up to 4096 bytes.
            detail: What is wrong with it, for instance the field and its value.
        """
        self.counts[reason] += 1
        detail = detail[:KEPT_DETAIL]
        self._last = (reason, topic, detail)
        self._waiting.append((reason, topic, body[:KEPT_BYTES], host.wall_ms(), detail))
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the bus allows."""
        while self._waiting:
            reason, topic, body, at, detail = self._waiting[0]
            key = f"cdb:dead:{self._bus.service}"
            try:
                self._bus.run(
                    (
                        *("XADD", key, "MAXLEN", "~", KEPT, "*", "reason", reason, "topic", topic),
                        *("body", body, "at", at, "detail", detail),
                    )
                )
            except (Unavailable, ReplyError):
                return
            self._waiting.popleft()

    def report(self, run_id: str | None, now_ms: int | None) -> None:
        """Write what waits; publish one alert when it begins, each minute, and when it is over.

        Args:
            run_id: The current run; no alert without one.
            now_ms: Event time; no alert before the first clock.

        Raises:
            Unavailable: The bus is away; the alert is due again at the next call.
        """
        self.flush()
        if not run_id or not now_ms:
            return
        count = self.total
        new = count - self._alerted_count
        if self._alerted_at is None:
            if not new:
                return
            phase = AlertPhase.BEGAN
        elif now_ms - self._alerted_at < COUNT_EVERY_MS:
            return
        else:
            phase = AlertPhase.ONGOING if new else AlertPhase.CLEARED
        self._bus.publish([self._alert(run_id, now_ms, phase, new)])
        self._alerted_at = None if phase is AlertPhase.CLEARED else now_ms
        self._alerted_count = count

    def _alert(self, run_id: str, now_ms: int, phase: AlertPhase, new: int) -> Alert:
        reason, topic, detail = self._last
        service = self._bus.service
        instance = self._bus.own_claim().instance
        if phase is AlertPhase.CLEARED:
            message = f"{service} has had no dead letters for a minute"
        else:
            message = f"{service} put {new} message(s) aside, last {reason} on {topic}"
            message += f": {detail}" if detail else ""
        return Alert(
            event_id=make_id(run_id, service, CODE, instance, self.total, phase, now_ms),
            run_id=run_id,
            producer=service,
            schema_version=SCHEMA_VERSION,
            timestamp=now_ms,
            causation_id=None,
            correlation_id=None,
            level=AlertLevel.INFO if phase is AlertPhase.CLEARED else AlertLevel.WARNING,
            code=CODE,
            message=message,
            symbol=None,
            layer=None,
            phase=phase,
            count=max(new, 1),
            context={"service": service, "reason": reason, "topic": topic, "detail": detail},
        )
