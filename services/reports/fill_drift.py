"""How far the market had moved against us when an order was filled, fill by fill.

The drift of a fill is what is left of its slippage after half the spread and the impact: the
middle of the market at the fill against a reference, positive where it is against us. The
reference of an entry and of an exit is the price that its order was decided at; that of a stop is
its trigger, the stop-loss price. Limit orders and take-overs by the venue have their price by rule;
they do not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from services.kernel.events import Origin, Side
from services.kernel.instruments.rounding import MONEY_STEP, rounded
from services.kernel.matching.fills import TAKER
from services.runtime.database.connections import Connection

ZERO: Final = Decimal(0)
BPS: Final = Decimal(10_000)
BPS_STEP: Final = Decimal("0.0001")
ENTRIES, EXITS, STOPS = KINDS = ("entries", "exits", "stops")


@dataclass(frozen=True, slots=True)
class DriftedFill:
    """One fill at the market.

    Attributes:
        at: Event time, Unix ms.
        kind: ``entries``, ``exits`` or ``stops``.
        reason: Origin of its order.
        reference_price: The stop-loss price of a stop; else the price decided at.
        market_price: Middle of the market at the fill, before spread and impact.
        notional: Coins filled at the reference price, in quote.
        drift: Coins times the distance from reference to market, in quote; positive is against us.
        spread, impact: What half the spread and the impact cost on top, in quote.
    """

    at: int
    order_id: str
    symbol: str
    side: str
    kind: str
    reason: str
    reference_price: Decimal
    market_price: Decimal
    filled_price: Decimal
    notional: Decimal
    drift: Decimal
    spread: Decimal
    impact: Decimal

    @property
    def drift_bp(self) -> Decimal:
        """The drift in basis points of the reference price."""
        sign = Side(self.side).sign
        away = (self.market_price - self.reference_price) / self.reference_price
        return rounded(away * sign * BPS, BPS_STEP)


@dataclass(frozen=True, slots=True)
class Drift:
    """The fills of one kind together.

    Attributes:
        bp: Mean drift in basis points, weighted by notional; None without a fill.
        money: Sum of the drift, in quote.
        in_our_favour: Fills with a drift below zero.
    """

    fills: int
    bp: Decimal | None
    money: Decimal
    in_our_favour: int

    @classmethod
    def of(cls, fills: Iterable[DriftedFill]) -> "Drift":
        """The figures of these fills."""
        chosen = tuple(fills)
        notional = sum((fill.notional for fill in chosen), ZERO)
        money = sum((fill.drift for fill in chosen), ZERO)
        return cls(
            fills=len(chosen),
            bp=rounded(money / notional * BPS, BPS_STEP) if notional else None,
            money=money,
            in_our_favour=sum(fill.drift < 0 for fill in chosen),
        )


def by_kind(fills: Iterable[DriftedFill]) -> Mapping[str, Drift]:
    """The drift of entries, exits and stops."""
    known = tuple(fills)
    return {kind: Drift.of(fill for fill in known if fill.kind == kind) for kind in KINDS}


def drifted_fills(connection: Connection, run_id: str) -> tuple[DriftedFill, ...]:
    """Every fill at the market of one run, in order.

    Args:
        connection: As a role that may read everything.
        run_id: Its whole id.
    """
    rows = connection.execute(_FILLS, {"run": run_id, "taker": TAKER}).fetchall()
    return tuple(_drifted(row) for row in rows)


def _drifted(row: tuple[Any, ...]) -> DriftedFill:
    (at, order_id, symbol, side, origin, reduce_only, decided, stop, quantity, filled) = row[:10]
    touch, half_spread, inverse = row[10:]
    sign = Side(side).sign
    reference = stop if origin == Origin.STOP_LOSS and stop is not None else decided
    market = touch - half_spread * sign
    coins = quantity / filled if inverse else quantity
    return DriftedFill(
        at=at,
        order_id=order_id,
        symbol=symbol,
        side=side,
        kind=STOPS if origin == Origin.STOP_LOSS else EXITS if reduce_only else ENTRIES,
        reason=origin,
        reference_price=reference,
        market_price=market,
        filled_price=filled,
        notional=rounded(coins * reference, MONEY_STEP),
        drift=rounded(coins * (market - reference) * sign, MONEY_STEP),
        spread=rounded(coins * half_spread, MONEY_STEP),
        impact=rounded(coins * (filled - touch) * sign, MONEY_STEP),
    )


_FILLS: Final = """
    SELECT (extract(epoch FROM r."timestamp") * 1000)::bigint, o.order_id, o.symbol, o.side,
        o.origin, o.reduce_only, o.price, d.stop_loss_price,
        (r.body ->> 'filled_quantity')::numeric, (r.body ->> 'filled_price')::numeric,
        (r.body -> 'fill' ->> 'touch')::numeric, (r.body -> 'fill' ->> 'half_spread')::numeric,
        i.symbol IS NOT NULL
    FROM events AS r
    JOIN orders AS o ON o.order_id = r.body ->> 'order_id'
    LEFT JOIN risk_decisions AS d ON d.order_id = o.order_id
    LEFT JOIN (
        SELECT DISTINCT contract ->> 'symbol' AS symbol
        FROM events AS e, json_array_elements(e.body -> 'instruments') AS contract
        WHERE e.type = 'instruments' AND e.run_id = %(run)s AND (contract ->> 'inverse')::boolean
    ) AS i ON i.symbol = o.symbol
    WHERE r.type = 'order_result' AND r.run_id = %(run)s
        AND (r.body ->> 'filled_quantity')::numeric > 0 AND r.body ->> 'liquidity' = %(taker)s
        AND r.body -> 'fill' ->> 'touch' IS NOT NULL
        AND o.order_type NOT IN ('LIMIT', 'STOP_LIMIT')
    ORDER BY r.seq
"""
