"""Where the console reads from, and how it commands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress


@dataclass(frozen=True, slots=True)
class DeskSources:
    """One running system, as the console reaches it.

    Attributes:
        label: Name of the system, shown in the page's header.
        bus: Redis, as a user that may subscribe and publish on `operator` and `signals`.
        database: PostgreSQL, as a role that may read.
        services: Service name to the base URL of its HTTP server.
        token: What a person enters before an action. Never sent to a page.
        token_place: Where a person finds it.
    """

    label: str
    bus: RedisAddress
    database: DatabaseAddress
    services: Mapping[str, str]
    token: str = field(repr=False)
    token_place: str = "CONSOLE_TOKEN in .env"  # noqa: S105 - a place
