"""JSON from outside: what is nested too deeply, or is no UTF-8, is an error like any other."""

import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

MAX_BYTES: Final = 65_536
"""Size of a message from outside."""

MAX_DEPTH: Final = 32
"""Objects and lists within one another in a message from outside."""

T = TypeVar("T")
# A string (up to the end of the text where it is not closed) or a bracket: one pass, no way back.
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)|[\[{\]}]', re.DOTALL)
_OPENING: Final = frozenset({b"[", b"{"})
_CLOSING: Final = frozenset({b"]", b"}"})


class Decoder(Generic[T]):
    """``msgspec.json.Decoder``, whose every error is a ``msgspec.DecodeError``.

    Unbounded nesting ends in a ``RecursionError``, and bad UTF-8 in a ``UnicodeDecodeError``: no
    caller expects either of a decoder.

    Args:
        kind: What the JSON is decoded to; without it whatever is there.
        float_hook: Makes the numbers with a point or an exponent.
    """

    def __init__(
        self,
        kind: type[T] = Any,  # type: ignore[assignment]
        *,
        float_hook: Callable[[str], Any] | None = None,
    ) -> None:
        self._decode = msgspec.json.Decoder(kind, float_hook=float_hook).decode

    def decode(self, body: bytes | str | msgspec.Raw) -> T:
        """The decoded value.

        Raises:
            msgspec.DecodeError: It is not the JSON that was expected.
        """
        try:
            decoded: T = self._decode(body)
        except (RecursionError, UnicodeDecodeError, ArithmeticError) as error:
            raise fault(error) from None
        return decoded


def fault(error: Exception) -> msgspec.DecodeError:
    """A decoder's unexpected error as the one that callers expect."""
    if isinstance(error, RecursionError):
        return msgspec.DecodeError("nested too deeply")
    return msgspec.DecodeError(f"{type(error).__name__}: {error}"[:200])


def depth(body: bytes, most: int = MAX_DEPTH) -> int:
    """How deeply objects and lists are nested in a JSON text; counting ends behind ``most``."""
    deepest = now = 0
    for found in _STRUCTURE.finditer(body):
        token = found.group()
        if token in _OPENING:
            now += 1
            deepest = max(deepest, now)
            if deepest > most:
                break
        elif token in _CLOSING:
            now -= 1
    return deepest
