"""JSON whose numbers keep the digits of a ``Decimal``."""

import json
from decimal import Decimal
from typing import Any


def to_json(value: Any) -> str:
    """Compact JSON; a ``Decimal`` becomes a number with its digits.

    Raises:
        TypeError: Something in it has no JSON form.
    """
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)
