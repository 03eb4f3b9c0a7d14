"""``cdb_ws`` publishes market data and time. This module wires its parts."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_ws.config import SERVICE, FeedConfig
from services.cdb_ws.feed import Feed
from services.cdb_ws.figures import figures
from services.cdb_ws.metrics import PUBLISH_SECONDS
from services.runtime.service import metrics, shell
from services.runtime.service.shell import Shell


def build(shell: Shell) -> Feed:
    """The worker, with its data files checked; connects to nothing.

    Raises:
        SettingError: A data file is missing or unusable.
    """
    config = FeedConfig.of(shell.settings)
    config.check()
    feed = Feed(shell, config)

    def look_up() -> Iterable[Metric]:
        return figures(feed)

    registry = shell.metrics.registry
    feed.on_sent = PUBLISH_SECONDS.histogram(registry).observe
    metrics.Figures(registry, look_up)
    return feed


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return shell.run(SERVICE, build)
