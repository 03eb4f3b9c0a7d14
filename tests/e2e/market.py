"""An exchange played by hand: trades published on `market_data` by somebody who is no service."""

import json
import time
import uuid
from dataclasses import dataclass, field

from tests.e2e.stack import Stack

STEP_MS = 10_000


@dataclass
class Market:
    """One symbol's market. Every trade has an id, so that its row can be found."""

    stack: Stack
    symbol: str
    volume: str = "500"
    trade_ids: list[str] = field(default_factory=list)

    def publish(self, price: float, *, at_ms: int | None = None, backfill: bool = False) -> None:
        """One trade, now or in the past."""
        self.publish_many([(price, at_ms)], backfill=backfill)

    def publish_many(
        self, trades: list[tuple[float, int | None]], *, backfill: bool = False
    ) -> None:
        """Trades as (price, Unix ms or None for now)."""
        with self.stack.bus() as client:
            for price, at_ms in trades:
                trade_id = uuid.uuid4().hex
                body = {
                    "symbol": self.symbol,
                    "kind": "trade",
                    "price": f"{price:.2f}",
                    "volume": self.volume,
                    "trade_id": trade_id,
                    "timestamp": at_ms if at_ms is not None else int(time.time() * 1000),
                }
                if backfill:
                    body["backfill"] = True
                client.publish("market_data", json.dumps(body))
                self.trade_ids.append(trade_id)

    def backfill(self, price: float, minutes: int) -> None:
        """A flat past up to now."""
        now = int(time.time() * 1000)
        times = range(now - minutes * 60_000 - STEP_MS, now, STEP_MS)
        self.publish_many([(price, at) for at in times], backfill=True)

    def rows(self) -> int:
        """How many of its trades are in PostgreSQL."""
        ids = ",".join(f"'{trade_id}'" for trade_id in self.trade_ids)
        found: int = self.stack.one(
            "SELECT count(DISTINCT body->>'trade_id') FROM market_data"  # noqa: S608
            f" WHERE body->>'trade_id' IN ({ids})"
        )
        return found
