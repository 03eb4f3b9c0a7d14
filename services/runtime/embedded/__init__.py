"""Private servers of an embedded run: Redis (or Valkey) and PostgreSQL on loopback."""

from services.runtime.embedded.binaries import NoServerBinaryError
from services.runtime.embedded.postgres_server import EmbeddedPostgres
from services.runtime.embedded.process import EmbeddedServerError
from services.runtime.embedded.redis_server import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "EmbeddedServerError", "NoServerBinaryError"]
