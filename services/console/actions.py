"""What a person may do from the console: halt, reset, pause, resume, close a position."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from services.console.now import decimal
from services.kernel.events import Side, Verdict
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.operator.channel import OperatorChannel
from services.runtime.operator.message import operator_message

ISSUED_BY: Final = "console"
CONFIRMATIONS: Final = {
    "halt": "HALT",
    "reset": "RELEASE",
    "pause": "PAUSE",
    "resume": "RESUME",
    "close": "CLOSE",
    "close-all": "CLOSE ALL",
}
"""Action to the word that a person types before it is done."""
MOST_REASON: Final = 500


class ActionRefusedError(ValueError):
    """The request cannot be done; the message says why and what to do."""


def check(action: str, request: Mapping[str, Any]) -> str:
    """The reason that a person gave, after the request was found to be complete.

    Args:
        action: One of `CONFIRMATIONS`.
        request: ``reason``, and ``confirmation`` as typed.

    Raises:
        ActionRefusedError: The action is unknown, the reason empty or the word another.
    """
    word = CONFIRMATIONS.get(action)
    if word is None:
        raise ActionRefusedError(f"{action!r:.40} is no action; one of {', '.join(CONFIRMATIONS)}")
    reason = str(request.get("reason") or "").strip()
    if not reason or len(reason) > MOST_REASON:
        raise ActionRefusedError(f"a reason of 1 to {MOST_REASON} characters is needed")
    if request.get("confirmation") != word:
        raise ActionRefusedError(f"type {word} to confirm")
    return reason


def command(
    bus: RedisAddress, action: str, reason: str, symbol: str | None, issued_by: str
) -> dict[str, Any]:
    """Give one of the four commands, and wait for risk's published answer.

    Returns:
        ``seq`` of the command and the trading states that it ``changes``.

    Raises:
        NoAnswerError: Risk did not answer in time.
    """
    command_id = uuid4().hex
    message = operator_message(action, reason, symbol, command_id, issued_by)
    with OperatorChannel(bus) as channel:
        answer = channel.post(message, command_id)
    return {
        "action": action,
        "seq": answer.seq,
        "changes": [
            {
                "symbol": change.symbol,
                "previous": change.previous,
                "state": change.state,
                "message": change.message,
            }
            for change in answer.states
        ],
    }


def close(bus: RedisAddress, position: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Close one position by a reduce-only signal from outside; risk decides.

    Args:
        bus: As a user that may publish on `signals`.
        position: As `now_view` has it: symbol, signed quantity, mark price.
        reason: Kept in the record.

    Returns:
        Risk's verdict, its reason, and the ids to follow it by.

    Raises:
        ActionRefusedError: The position has no price.
        NoAnswerError: No decision came in time.
    """
    quantity, price = decimal(position.get("quantity")), decimal(position.get("mark_price"))
    symbol = str(position.get("symbol"))
    if not quantity or not price:
        raise ActionRefusedError(f"{symbol} has no open position with a price")
    signal_id = f"close-{uuid4().hex}"
    message = _closing_signal(symbol, quantity, price, reason, signal_id)
    with OperatorChannel(bus) as channel:
        decision = channel.post_signal(message, signal_id)
    return {
        "action": "close",
        "symbol": symbol,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "event_id": decision.event_id,
        "order_id": decision.order_id,
        "done": decision.verdict is not Verdict.REJECTED,
    }


def _closing_signal(
    symbol: str, quantity: Decimal, price: Decimal, reason: str, signal_id: str
) -> bytes:
    body = {
        "signal_id": signal_id,
        "symbol": symbol,
        "direction": Side.SELL if quantity > 0 else Side.BUY,
        "quantity": str(abs(quantity)),
        "price": str(price),
        "reduce_only": True,
        "reason": f"{ISSUED_BY}: {reason}",
        "strategy_id": ISSUED_BY,
    }
    return json.dumps(body, separators=(",", ":")).encode()
