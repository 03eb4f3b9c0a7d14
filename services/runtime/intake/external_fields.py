"""The fields of a message that somebody typed: each in the forms that people write it in."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from services.kernel.bounded_json import MAX_DEPTH, Decoder, depth
from services.kernel.events import PriceLevel, Side

MAX_DIGITS = 40
MAX_EXPONENT = 24
MOST_ID = 128
"""Characters of an id or a name: what an index of the database can hold, and a person can read."""

MOST_TEXT = 2_000
"""Characters of a reason or a message."""

_SECONDS_BELOW = 10_000_000_000  # as seconds the year 2286, as milliseconds April 1970
_decoder: Decoder[Any] = Decoder(float_hook=Decimal)


class InvalidMessageError(ValueError):
    """A message from outside that nobody can use.

    Attributes:
        reason: Upper-case code for the dead letter.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Fields:
    """A JSON object, asked for its fields in the forms that people write."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(self, *names: str, default: str | None = None, most: int = MOST_ID) -> str:
        """A text or a whole number, under the first of the names that is there.

        Args:
            names: Of the field.
            default: Where it is missing.
            most: Characters that it may have.
        """
        for name in names:
            value = self.fields.get(name)
            if value is None or value == "":
                continue
            # A null character is no text for a database.
            if not isinstance(value, str | int) or isinstance(value, bool) or "\0" in str(value):
                raise InvalidMessageError("MALFORMED", f"{name} is {value!r:.60}, a text is needed")
            text = str(value)
            if len(text) > most:
                problem = f"{name} has {len(text)} characters, at most {most} are accepted"
                raise InvalidMessageError("MALFORMED", problem)
            return text
        if default is None:
            raise InvalidMessageError("MALFORMED", f"{names[0]} is missing")
        return default

    def symbol(self, *, required: bool = True) -> str | None:
        """The symbol in its normal form."""
        if not required and self.fields.get("symbol") is None:
            return None
        return normal_symbol(self.text("symbol"))

    def side(self, *names: str) -> Side:
        """The side, in any case of letters."""
        given = self.text(*names)
        try:
            return Side(given.upper())
        except ValueError:
            raise InvalidMessageError(
                "MALFORMED", f"{names[0]} is {given!r}, BUY or SELL is needed"
            ) from None

    def flag(self, name: str) -> bool:
        """True or false; false when missing."""
        value = self.fields.get(name, False)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise InvalidMessageError(
                "MALFORMED", f"{name} is {value!r:.60}, true or false is needed"
            )
        return value

    def number(
        self, name: str, *, low: Decimal | None = None, above: Decimal | None = None
    ) -> Decimal | None:
        """A number; None when missing."""
        value = self.fields.get(name)
        return None if value is None else to_number(name, value, low=low, above=above)

    def required(
        self, name: str, *, low: Decimal | None = None, above: Decimal | None = None
    ) -> Decimal:
        """A number that must be there."""
        value = self.number(name, low=low, above=above)
        if value is None:
            raise InvalidMessageError("MALFORMED", f"{name} is missing")
        return value

    def timestamp(self, name: str, default: int) -> int:
        """Unix milliseconds; ``default`` when missing."""
        value = self.fields.get(name)
        return default if value is None else _timestamp(name, value)

    def levels(self, name: str) -> tuple[PriceLevel, ...] | None:
        """Levels of a book; None when missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        try:
            pairs = [(level[0], level[1]) for level in value]
        except (TypeError, LookupError):
            raise InvalidMessageError(
                "MALFORMED", f"{name} is not a list of [price, quantity]"
            ) from None
        return tuple(
            (to_number(name, price, above=Decimal(0)), to_number(name, quantity, low=Decimal(0)))
            for price, quantity in pairs
        )


def normal_symbol(given: str) -> str:
    """``BTC_USDT`` for ``BTCUSDT``, ``BTC/USDT``, ``btc-usdt`` or ``btc_usdt``.

    Raises:
        InvalidMessageError: It is no symbol.
    """
    symbol = given.strip().upper().replace("/", "_").replace("-", "_")
    if "_" not in symbol:
        for quote in ("USDT", "USDC", "USD"):
            if symbol.endswith(quote) and len(symbol) > len(quote):
                symbol = f"{symbol.removesuffix(quote)}_{quote}"
                break
    base, separator, quote = symbol.partition("_")
    if not (separator and base.isalnum() and quote.isalnum() and symbol.isascii()):
        raise InvalidMessageError(
            "MALFORMED", f"symbol is {given!r}, for instance BTC_USDT is needed"
        )
    return symbol


def parse(body: bytes) -> "Fields":
    """The fields of a JSON object.

    Raises:
        InvalidMessageError: It is none.
    """
    if depth(body) > MAX_DEPTH:
        raise InvalidMessageError("TOO_DEEP", f"nested more than {MAX_DEPTH} levels deep")
    try:
        message = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidMessageError("NOT_JSON", str(error)) from None
    if not isinstance(message, dict):
        raise InvalidMessageError(
            "NOT_JSON", f"a {type(message).__name__}, a JSON object is needed"
        )
    return Fields(message)


def to_number(
    name: str, value: object, *, low: Decimal | None = None, above: Decimal | None = None
) -> Decimal:
    """A number as it was written, exactly.

    Args:
        name: Field, for the error.
        value: JSON number or string.
        low: The least that is taken.
        above: What it must exceed.

    Raises:
        InvalidMessageError: It is none, or out of range.
    """
    number = _decimal(value)
    if number is None:
        raise InvalidMessageError("MALFORMED", f"{name} is {value!r:.60}, a number is needed")
    if (low is not None and number < low) or (above is not None and number <= above):
        bound = f"at least {low}" if low is not None else f"more than {above}"
        raise InvalidMessageError("MALFORMED", f"{name} is {number}, {bound} is needed")
    return number


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    _, digits, exponent = number.as_tuple()
    # What is not finite has a letter for an exponent.
    finite = isinstance(exponent, int) and abs(exponent) <= MAX_EXPONENT
    return number if finite and len(digits) <= MAX_DIGITS else None


def _timestamp(name: str, value: object) -> int:
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidMessageError(
                "MALFORMED", f"{name} is {value!r:.60}, no known time"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    number = to_number(name, value, above=Decimal(0))
    if number >= 100_000 * _SECONDS_BELOW:
        raise InvalidMessageError(
            "MALFORMED", f"{name} is {number}, neither seconds nor milliseconds"
        )
    return int(number * 1000) if number < _SECONDS_BELOW else int(number)
