"""Text of events with no control character in it, for terminals and pages."""

import re
from typing import Final

REPLACEMENT: Final = "?"
# C0 without tab and line feed, DEL, C1, line separators, and what reverses the direction of text.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """The text with every control character replaced by a question mark; lines stay lines."""
    return _UNPRINTABLE.sub(REPLACEMENT, text)


def one_line(text: str) -> str:
    """The text as one printable line: nobody's text begins a line that looks like another's."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def printable_json(body: bytes) -> str:
    """A JSON text in one line, with every control character in it as an escape of JSON's."""
    text = body.decode(errors="replace").replace("\n", "\\n")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
