"""Text for COPY: what comes back is what went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.persistence.copy_text import quote, quote_json, time_field

pytestmark = pytest.mark.unit

_BACK = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def unquote(field: str) -> str:
    """As PostgreSQL reads a field."""
    text, escaped = "", False
    for char in field:
        if escaped:
            text += _BACK[char]
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            text += char
    return text


@given(st.text())
def test_a_quoted_text_reads_back_the_same(text: str) -> None:
    field = quote(text)

    assert unquote(field) == text.replace("\x00", "\ufffd")
    assert "\t" not in field
    assert "\n" not in field


def test_json_with_escapes_is_quoted() -> None:
    assert quote_json(rb'{"a":"b\nc"}') == '{"a":"b\\\\nc"}'
    assert quote_json(b'{"a":"b"}') == '{"a":"b"}'


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01 00:00:00.000+00"),
        (1_767_225_599_999, "2025-12-31 23:59:59.999+00"),
        (1_767_225_600_001, "2026-01-01 00:00:00.001+00"),
    ],
)
def test_times_keep_their_milliseconds(milliseconds: int, text: str) -> None:
    assert time_field(milliseconds) == text


def test_a_time_beyond_the_calendar_is_an_error() -> None:
    with pytest.raises((ValueError, OverflowError, OSError)):
        time_field(10**18)
