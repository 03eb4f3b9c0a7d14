"""Numbers and times as people read them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from services.kernel.events import LayerResult

_HUNDRED: Final = Decimal(100)


def number(value: Decimal | None) -> str:
    """A decimal without exponent and without empty digits behind the point."""
    if value is None:
        return "-"
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def money(value: Decimal) -> str:
    """An amount of quote currency, to a hundredth."""
    return f"{value:,.2f}"


def counted(number: int, what: str) -> str:
    """How many there are of something."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def times(number: int) -> str:
    """How often."""
    return "once" if number == 1 else f"{number:,} times"


def percent(fraction: Decimal) -> str:
    """A fraction as per cent."""
    return f"{number((fraction * _HUNDRED).quantize(Decimal('0.0001')))} %"


def moment(timestamp: int) -> str:
    """Unix milliseconds as UTC."""
    at = datetime.fromtimestamp(timestamp / 1000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def age(seconds: float) -> str:
    """A time span in its two largest units."""
    whole = int(seconds)
    days, hours = whole // 86_400, whole % 86_400 // 3_600
    minutes, rest = whole % 3_600 // 60, whole % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def measured(value: Decimal | None, unit: str) -> str:
    """A layer's value, limit or headroom with its unit."""
    if value is None:
        return "-"
    return percent(value) if unit == "fraction" else f"{number(value)} {unit}"


def layer_line(result: LayerResult) -> str:
    """A layer's result in one line."""
    if result.value is None:
        return f"{result.verdict}: {result.detail}"
    return (
        f"{result.verdict}: {measured(result.value, result.unit)}, limit"
        f" {measured(result.limit, result.unit)}, headroom"
        f" {measured(result.headroom, result.unit)} ({result.detail})"
    )
