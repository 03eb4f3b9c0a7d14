"""Messages from outside: what people type by hand, made into the event they meant."""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

from services.kernel.bounded_json import MAX_BYTES
from services.kernel.events import (
    SCHEMA_VERSION,
    Alert,
    AlertLevel,
    AlertPhase,
    BarPoint,
    Event,
    Halt,
    MarketData,
    MarketDataKind,
    Order,
    OrderType,
    Origin,
    Pause,
    Reset,
    Resume,
    Signal,
    TimeInForce,
    topics,
)
from services.kernel.events.ids import make_id
from services.runtime import host
from services.runtime.intake import event_time
from services.runtime.intake.external_fields import (
    MOST_TEXT,
    Fields,
    InvalidMessageError,
    parse,
    to_number,
)

__all__ = ["MAX_BYTES", "OWNERS", "Intake", "InvalidMessageError", "normalise"]

E = TypeVar("E", bound=StrEnum)
SOURCE = "external"

OWNERS: Final[dict[str, str]] = {
    topics.ORDER_RESULTS: topics.EXECUTION,
    topics.RISK_DECISIONS: topics.RISK,
    topics.CLOCK: topics.WS,
    topics.CONTROL: topics.RISK,
    topics.PORTFOLIO_SNAPSHOTS: topics.PAPER_RUNNER,
    **topics.TAKES_FROM_OUTSIDE,
}
"""The one service that answers for a topic's messages from outside, if only by a dead letter."""


def normalise(
    topic: str,
    body: bytes,
    *,
    run_id: str | None,
    now_ms: int,
    unique: str,
    producer: str,
    behind_ms: int = event_time.STALE_MS,
) -> Event:
    """The event that a message from outside stands for.

    Accepts JSON numbers (taken exactly as written) or strings; timestamps in seconds,
    milliseconds or ISO-8601; ``BTCUSDT``, ``BTC/USDT`` or ``btc_usdt`` for ``BTC_USDT``; sides in
    any case. A missing ``kind`` is a trade, a missing timestamp is ``now_ms``.

    Args:
        topic: Channel it came on.
        body: The message.
        run_id: The current run; None before the first.
        now_ms: What a message without timestamp gets, Unix milliseconds.
        unique: What no other message to this producer has; run, producer and this make the id.
        producer: The service that takes it.
        behind_ms: How far behind ``now_ms`` its time may be: the run's stale timeout.

    Raises:
        InvalidMessageError: It cannot be used; with the reason.
    """
    if topics.TAKES_FROM_OUTSIDE.get(topic) != producer:
        raise InvalidMessageError("NOT_FROM_OUTSIDE", f"{topic} takes nothing from outside")
    if len(body) > MAX_BYTES:
        raise InvalidMessageError("OVERSIZED", f"{len(body)} bytes, at most {MAX_BYTES} are taken")
    if run_id is None:
        raise InvalidMessageError("NO_RUN", "nothing is published before a run has started")
    message = parse(body)
    envelope: dict[str, Any] = {
        "event_id": make_id(run_id, producer, SOURCE, unique),
        "run_id": run_id,
        "producer": producer,
        "schema_version": SCHEMA_VERSION,
        "timestamp": message.timestamp("timestamp", now_ms),
        "causation_id": None,
        "correlation_id": None,
        "external": True,
    }
    event = _BUILDERS[topic](message, envelope)
    _check_time(event, now_ms, behind_ms)
    return event


def _check_time(event: Event, now_ms: int, behind_ms: int) -> None:
    """Only what says that it is backfilled may be older than the stale timeout.

    Raises:
        InvalidMessageError: Its time is too far from the present.
    """
    if isinstance(event, MarketData) and event.backfill:
        behind_ms = event_time.OLDEST_BACKFILL_MS
    verdict = event_time.judge(event.timestamp, now_ms, behind_ms)
    if verdict is not event_time.Verdict.IN_TIME:
        raise InvalidMessageError(
            verdict.value,
            f"timestamp is {event.timestamp}, {event.timestamp - now_ms} ms from the present;"
            f" from {-behind_ms} to {event_time.MOST_AHEAD_MS} ms are accepted",
        )


class Intake:
    """Takes the messages from outside that a service answers for, and gives each its own id.

    Args:
        producer: The service.
        unique: What no other process of this service has, for instance epoch and instance.
    """

    def __init__(self, producer: str, unique: str) -> None:
        self.taken = 0
        self._producer = producer
        self._unique = unique

    def take(
        self,
        topic: str,
        body: bytes,
        *,
        run_id: str | None,
        now_ms: int | None,
        behind_ms: int = event_time.STALE_MS,
    ) -> Event:
        """The event to publish for a message from outside.

        Args:
            topic: Channel it came on.
            body: The message.
            run_id: The current run; None before the first.
            now_ms: Event time; None means the wall clock.
            behind_ms: The run's stale timeout.

        Raises:
            InvalidMessageError: It belongs into a dead letter.
        """
        self.taken += 1
        return normalise(
            topic,
            body,
            run_id=run_id,
            now_ms=host.wall_ms() if now_ms is None else now_ms,
            unique=f"{self._unique}:{self.taken}",
            producer=self._producer,
            behind_ms=behind_ms,
        )


def _market_data(message: Fields, envelope: dict[str, Any]) -> Event:
    zero = Decimal(0)
    kind_given = message.text("kind", default=MarketDataKind.TRADE.value).lower()
    try:
        kind = MarketDataKind(kind_given)
    except ValueError:
        raise InvalidMessageError("MALFORMED", f"kind is {kind_given!r}, which is none") from None
    trade = kind is MarketDataKind.TRADE
    return MarketData(
        **envelope,
        kind=kind,
        symbol=message.symbol() or "",
        source=message.text("source", default=SOURCE),
        price=message.required("price", above=zero)
        if trade
        else message.number("price", above=zero),
        volume=message.required("volume", low=zero)
        if trade
        else message.number("volume", low=zero),
        side=message.side("side") if message.fields.get("side") is not None else None,
        trade_id=message.text("trade_id", default="") or None,
        bid=message.number("bid", above=zero),
        ask=message.number("ask", above=zero),
        bid_size=message.number("bid_size", low=zero),
        ask_size=message.number("ask_size", low=zero),
        bids=message.levels("bids"),
        asks=message.levels("asks"),
        mark_price=message.number("mark_price", above=zero),
        index_price=message.number("index_price", above=zero),
        funding_rate=message.number("funding_rate"),
        next_funding_time=(
            message.timestamp("next_funding_time", 0)
            if message.fields.get("next_funding_time") is not None
            else None
        ),
        pct_change=message.number("pct_change"),
        backfill=message.flag("backfill"),
        bar=_bar_point(message),
    )


def _bar_point(message: Fields) -> BarPoint | None:
    """What a trade that was made from a bar stands for; None for one that was observed."""
    word = message.text("bar", default="").lower()
    if not word:
        return None
    if word not in tuple(BarPoint):
        known = ", ".join(BarPoint)
        raise InvalidMessageError("MALFORMED", f"bar is {word!r}, one of {known} is needed")
    return BarPoint(word)


def _signal(message: Fields, envelope: dict[str, Any]) -> Event:
    signal_id = message.text("signal_id", default=envelope["event_id"])
    envelope["correlation_id"] = signal_id
    indicators = message.fields.get("indicators") or {}
    if not isinstance(indicators, dict):
        raise InvalidMessageError(
            "MALFORMED", f"indicators is {indicators!r:.60}, an object is needed"
        )
    strength = message.number("strength", low=Decimal(0))
    return Signal(
        **envelope,
        signal_id=signal_id,
        symbol=message.symbol() or "",
        direction=message.side("direction", "side"),
        strength=Decimal(1) if strength is None else strength,
        price=message.required("price", above=Decimal(0)),
        reason=message.text("reason", default=SOURCE, most=MOST_TEXT),
        indicators={str(name): to_number(name, value) for name, value in indicators.items()},
        reduce_only=message.flag("reduce_only"),
        strategy_id=message.text("strategy_id", default=SOURCE),
        quantity=message.number("quantity", above=Decimal(0)),
        order_type=_word(message, "order_type", OrderType.MARKET),
        limit_price=message.number("limit_price", above=Decimal(0)),
        trigger_price=message.number("trigger_price", above=Decimal(0)),
        time_in_force=_word(message, "time_in_force", TimeInForce.GTC),
        post_only=message.flag("post_only"),
    )


def _word(message: Fields, name: str, default: E) -> E:
    """One of the words of an enumeration, in any case; the default where none is given."""
    word = message.text(name, default=default.value).upper()
    if word not in type(default).__members__:
        known = ", ".join(type(default))
        raise InvalidMessageError("MALFORMED", f"{name} is {word!r}, one of {known} is needed")
    return type(default)[word]


def _order(message: Fields, envelope: dict[str, Any]) -> Event:
    order_id = message.text("order_id", default=envelope["event_id"])
    envelope["correlation_id"] = order_id
    return Order(
        **envelope,
        order_id=order_id,
        signal_id=message.text("signal_id", default="") or None,
        origin=Origin.EXTERNAL,
        symbol=message.symbol() or "",
        side=message.side("side", "direction"),
        quantity=message.required("quantity", above=Decimal(0)),
        price=message.number("price", low=Decimal(0)) or Decimal(0),
        order_type=_word(message, "order_type", OrderType.MARKET),
        trigger_price=message.number("trigger_price", above=Decimal(0)),
        time_in_force=_word(message, "time_in_force", TimeInForce.GTC),
        post_only=message.flag("post_only"),
        reduce_only=message.flag("reduce_only"),
        stop_loss_price=message.number("stop_loss_price", above=Decimal(0)),
        leverage=message.number("leverage", above=Decimal(0)) or Decimal(1),
        # Whatever the message says: nobody outside can approve an order.
        approved_by=None,
        risk_checks={},
    )


def _alert(message: Fields, envelope: dict[str, Any]) -> Event:
    level = message.text("level", default=AlertLevel.INFO.value).upper()
    if level not in AlertLevel.__members__:
        raise InvalidMessageError(
            "MALFORMED", f"level is {level!r}, INFO, WARNING or CRITICAL is needed"
        )
    context = message.fields.get("context") or {}
    if not isinstance(context, dict):
        raise InvalidMessageError("MALFORMED", f"context is {context!r:.60}, an object is needed")
    return Alert(
        **envelope,
        level=AlertLevel(level),
        code=message.text("code", default="EXTERNAL"),
        message=message.text("message", most=MOST_TEXT),
        symbol=message.symbol(required=False),
        layer=None,
        phase=AlertPhase.BEGAN,
        count=1,
        context={str(name): str(value) for name, value in context.items()},
    )


def _command(message: Fields, envelope: dict[str, Any]) -> Event:
    command = message.text("type", "command").lower()
    command_id = message.text("command_id", default=envelope["event_id"])
    # Of the command alone: however often it comes, it is one event.
    envelope |= {"event_id": make_id("command", command_id), "command_id": command_id}
    envelope |= {"issued_by": message.text("issued_by", default="operator")}
    if command == "halt":
        return Halt(**envelope, reason=message.text("reason", most=MOST_TEXT))
    if command == "reset":
        return Reset(**envelope, reason=message.text("reason", most=MOST_TEXT))
    if command in {"pause", "resume"}:
        kind = Pause if command == "pause" else Resume
        reason = message.text("reason", default="no reason given", most=MOST_TEXT)
        return kind(**envelope, reason=reason, symbol=message.symbol(required=False))
    raise InvalidMessageError("NOT_FROM_OUTSIDE", f"{command!r:.60} is no command")


_BUILDERS: Final[dict[str, Callable[[Fields, dict[str, Any]], Event]]] = {
    topics.MARKET_DATA: _market_data,
    topics.SIGNALS: _signal,
    topics.ORDERS: _order,
    topics.ALERTS: _alert,
    topics.OPERATOR: _command,
}
