"""Text for PostgreSQL's COPY: the fastest way in, at the price of doing the quoting oneself."""

import re
from datetime import UTC, datetime
from functools import lru_cache

NULL = "\\N"
_SPECIAL = re.compile(r"[\\\t\n\r\b\f\v\x00]")
_QUOTED = {
    "\\": "\\\\",
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
    "\x00": "\ufffd",  # PostgreSQL has no such character in text
}


def quote(text: str) -> str:
    """A text value as one field of a COPY line."""
    if text.isalnum() or _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _QUOTED[found[0]], text)


quote_repeated = lru_cache(maxsize=4096)(quote)
"""As ``quote``, for values that come again and again: symbols, run ids."""


def quote_json(body: bytes) -> str:
    """JSON text as one field of a COPY line; JSON holds no other control characters."""
    text = body.decode()
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
        return quote(text)
    return text


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.")


_MILLISECONDS = tuple(f"{value:03d}+00" for value in range(1000))


def time_field(milliseconds: int) -> str:
    """Unix milliseconds as one field of a COPY line.

    Raises:
        ValueError, OverflowError, OSError: Outside the years 1 to 9999.
    """
    seconds, rest = divmod(milliseconds, 1000)
    return _second(seconds) + _MILLISECONDS[rest]
