"""Where a database is, and how it may refuse; without its driver, which not every service needs."""

from dataclasses import dataclass, field


class DatabaseAwayError(RuntimeError):
    """PostgreSQL does not answer, or cannot write; it is worth trying again later."""


class DatabaseRefusedError(RuntimeError):
    """PostgreSQL answers and says no (password, rights, missing tables); a person must act."""


class DataRefusedError(DatabaseRefusedError):
    """PostgreSQL cannot hold a value that it was given; another value would do."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a database is and as whom to connect."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

    def as_user(self, user: str, password: str) -> "DatabaseAddress":
        """The same database for another role."""
        return DatabaseAddress(self.host, self.port, self.database, user, password)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.database}"
