"""Fields that the protocol did not have when this was written: counted, never fatal.

A new field is no error, but it may be the first sign of a change. Looking at every frame would cost
as much as reading it, so one in many is looked at.
"""

from collections import Counter
from typing import Any, Final

import msgspec

from services.kernel.bounded_json import Decoder

LOOK_AT_EVERY: Final = 97
"""A prime, so that frames that come in turns are all looked at in time."""

MOST_NAMES: Final = 100
UNREADABLE: Final = "unreadable"
"""Counted for a frame whose known fields could be read and whose other fields could not."""

MOST_NAME: Final = 64
"""Characters of a name that are kept."""

_ENVELOPE: Final = frozenset({"channel", "data", "symbol", "ts"})
_TICKER: Final = frozenset({
    "symbol", "contractId", "lastPrice", "fairPrice", "indexPrice", "volume24", "amount24",
    "riseFallRate", "riseFallValue", "riseFallRates", "riseFallRatesOfTimezone", "zone",
    "lower24Price", "high24Price", "maxBidPrice", "minAskPrice", "timestamp", "bid1", "ask1",
    "holdVol", "fundingRate",
})  # fmt: skip
_PRICE: Final = frozenset({"symbol", "price"})
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "push.deal": frozenset({"p", "v", "T", "O", "M", "t", "i", "cts"}),
    "push.depth.full": frozenset({"asks", "bids", "version", "cts", "begin", "end"}),
    "push.ticker": _TICKER,
    "push.tickers": _TICKER,
    "push.funding.rate": frozenset({"symbol", "rate", "nextSettleTime"}),
    "push.fair.price": _PRICE,
    "push.index.price": _PRICE,
}
_decoder: Decoder[Any] = Decoder()


class FieldWatch:
    """Looks at the first frame and at every 97th after it.

    Attributes:
        unknown: How many of the frames looked at had a field, as ``channel.field``.
    """

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._until_next = 1

    def look(self, body: str | bytes) -> None:
        """Take note of a frame that was read without error."""
        self._until_next -= 1
        if not self._until_next:
            self._until_next = LOOK_AT_EVERY
            if body[:1] in ("{", b"{"):  # a compressed one is not opened twice
                for name in _unknown_or_unreadable(body):
                    known = name in self.unknown or len(self.unknown) < MOST_NAMES
                    self.unknown[name if known else "others"] += 1


def _unknown_or_unreadable(body: str | bytes) -> list[str]:
    try:
        return [name[:MOST_NAME] for name in unknown_fields(body)]
    except msgspec.DecodeError:
        return [UNREADABLE]  # an unknown field holds what no JSON number or text may be


def unknown_fields(body: str | bytes) -> list[str]:
    """The fields of a frame that the protocol does not have, as ``channel.field``, sorted."""
    frame = _decoder.decode(body)
    channel = frame["channel"]
    known = _FIELDS.get(channel)
    if known is None:
        return []
    data = frame.get("data")
    row = (data[0] if data else {}) if isinstance(data, list) else data
    fields = row.keys() if isinstance(row, dict) else set()
    found = (frame.keys() - _ENVELOPE) | (fields - known)
    return sorted(f"{channel}.{name}" for name in found)
