"""Alerts mark changes: once when a condition begins, a count now and then, once when it clears."""

from msgspec import Struct

from services.kernel.emitter import Emitter
from services.kernel.events import Alert, AlertLevel, AlertPhase

REPEAT_AFTER_MS = 60_000


class OpenAlert(Struct, kw_only=True):
    """An open condition: how often it was seen, and when it was last reported."""

    level: AlertLevel
    count: int
    reported_at: int


class AlertBook(Struct, kw_only=True):
    """The open alerts, by (code, symbol, layer). Times are event time, Unix milliseconds."""

    open: dict[str, OpenAlert] = {}

    def see(
        self, code: str, symbol: str | None, layer: int | None, level: AlertLevel, now: int
    ) -> tuple[AlertPhase, int] | None:
        """Note that a condition holds.

        Returns:
            Phase and count to report; None when it was reported within the last minute.
        """
        key = _key(code, symbol, layer)
        alert = self.open.get(key)
        if alert is None:
            self.open[key] = OpenAlert(level=level, count=1, reported_at=now)
            return AlertPhase.BEGAN, 1
        alert.count += 1
        if now - alert.reported_at < REPEAT_AFTER_MS:
            return None
        alert.reported_at = now
        return AlertPhase.ONGOING, alert.count

    def is_open(self, code: str, symbol: str | None, layer: int | None) -> bool:
        """Whether the condition was seen and has not cleared yet."""
        return _key(code, symbol, layer) in self.open

    def open_for_account(self, level: AlertLevel) -> list[tuple[str, int | None]]:
        """Code and layer of the open alerts of one level that are about no single symbol."""
        keys = [key.split("|") for key, alert in self.open.items() if alert.level is level]
        return [(code, int(layer) if layer else None) for code, symbol, layer in keys if not symbol]

    def clear(self, code: str, symbol: str | None, layer: int | None) -> OpenAlert | None:
        """Note that a condition no longer holds; returns what was open."""
        return self.open.pop(_key(code, symbol, layer), None)


class Alarm:
    """Emits the alerts that are due by its book."""

    def __init__(self, emitter: Emitter, book: AlertBook) -> None:
        self._emitter = emitter
        self.book = book

    def see(
        self,
        level: AlertLevel,
        code: str,
        message: str,
        *,
        symbol: str | None = None,
        layer: int | None = None,
        **context: object,
    ) -> None:
        """The condition holds now; ``context`` gives the figures behind the message."""
        report = self.book.see(code, symbol, layer, level, self._emitter.cause.timestamp)
        if report is not None:
            phase, count = report
            self._emit(level, code, message, symbol, layer, phase, count, context)

    def clear(self, code: str, *, symbol: str | None = None, layer: int | None = None) -> None:
        """The condition cleared; reports it if it was open."""
        alert = self.book.clear(code, symbol, layer)
        if alert is not None:
            message = f"{code} cleared" + (f" for {symbol}" if symbol else "")
            phase = AlertPhase.CLEARED
            self._emit(AlertLevel.INFO, code, message, symbol, layer, phase, alert.count, {})

    def _emit(
        self,
        level: AlertLevel,
        code: str,
        message: str,
        symbol: str | None,
        layer: int | None,
        phase: AlertPhase,
        count: int,
        context: dict[str, object],
    ) -> None:
        self._emitter.emit(
            Alert,
            level=level,
            code=code,
            message=message,
            symbol=symbol,
            layer=layer,
            phase=phase,
            count=count,
            context={name: str(value) for name, value in context.items()},
        )


def _key(code: str, symbol: str | None, layer: int | None) -> str:
    return f"{code}|{symbol or ''}|{layer or ''}"
