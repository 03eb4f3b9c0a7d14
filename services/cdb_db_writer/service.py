"""cdb_db_writer: the journal in, rows out; the one writer of the record."""

from services.cdb_db_writer.config import SERVICE
from services.cdb_db_writer.figures import figures
from services.cdb_db_writer.metrics import COMMIT_SECONDS
from services.cdb_db_writer.writer import RecordService
from services.runtime.database import migrations
from services.runtime.service import metrics
from services.runtime.service.shell import Shell, run


def build(shell: Shell) -> RecordService:
    """The writer on the bus; connects to nothing."""
    settings = shell.settings
    writer = RecordService(
        bus=shell.new_bus(),
        recovery=shell.redis_address("recovery"),
        owner=shell.database_address(settings.postgres_user),
        roles={role: shell.database_address(role) for role in migrations.SERVICE_ROLES},
        lifecycle=shell.lifecycle,
    )
    registry = shell.metrics.registry
    writer.sink.on_commit = COMMIT_SECONDS.histogram(registry).observe
    metrics.Figures(registry, lambda: figures(writer, settings.cdb_backup_dir))
    return writer


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, build)
