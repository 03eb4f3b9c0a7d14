"""Ticks and clocks as COPY lines of table ``market_data``: the hot path of the writer."""

from datetime import UTC, date, datetime
from decimal import Decimal

from services.kernel.events import Clock, MarketData, MarketDataKind
from services.persistence.copy_text import NULL, quote, quote_json, quote_repeated, time_field

MS_PER_DAY = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MOST_DIGITS = 1000
_KINDS = {kind: kind.value for kind in MarketDataKind}
_CLOCK_REST = f"clock\t{NULL}" + f"\t{NULL}" * 6 + "\tf"


def _number(value: Decimal | None) -> str:
    if value is None:
        return NULL
    # What no table can hold stays in the body only; 1E-30000 would be refused by the server.
    text = str(value)
    if len(text) > _MOST_DIGITS or "E" in text or "N" in text or "I" in text:
        return text if value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS else NULL
    return text


def tick_line(event: MarketData | Clock, body: bytes) -> str:
    """One line, in the column order of ``tables.COLUMNS["market_data"]``.

    Args:
        event: What ``body`` says.
        body: The exact text that was published.
    """
    head = (
        f"{event.seq}\t{event.topic_seq}\t{quote(event.event_id)}\t{quote_repeated(event.run_id)}"
        f"\t{time_field(event.timestamp)}\t"
    )
    if type(event) is Clock:
        return f"{head}{_CLOCK_REST}\t{quote_json(body)}\n"
    assert type(event) is MarketData
    return (
        f"{head}{_KINDS[event.kind]}\t{quote_repeated(event.symbol)}\t{_number(event.price)}"
        f"\t{_number(event.volume)}\t{_number(event.bid)}\t{_number(event.ask)}"
        f"\t{_number(event.mark_price)}\t{_number(event.funding_rate)}"
        f"\t{'t' if event.backfill else 'f'}\t{quote_json(body)}\n"
    )


def day_of(milliseconds: int) -> date:
    """The UTC day of a point in time, whose partition holds it."""
    return date.fromordinal(_EPOCH_DAY + milliseconds // MS_PER_DAY)


def year_is_storable(milliseconds: int) -> bool:
    """Whether a table can hold that time: the years 1970 to 9999."""
    return 0 <= milliseconds < _LAST_MS


_LAST_MS = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)
