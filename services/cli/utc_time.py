"""Points in time as people give them to a command."""

from datetime import UTC, datetime
from typing import Any

import click


class UtcTime(click.ParamType[int]):
    """A point in time as ISO-8601; UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Unix milliseconds."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            problem = f"{value!r} is no time; write for instance 2026-05-21 or 2026-05-21T08:30"
            self.fail(problem, param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
