"""The current figures of ``cdb_ws``."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_ws import metrics
from services.cdb_ws.feed import Feed
from services.cdb_ws.recording.recorder import Recorder
from services.runtime import host
from services.runtime.consumer.stage_metrics import CLOCK_AGE, DATA_AGE, TAKEN
from services.runtime.service.metrics import BUS_CONNECTED, HEALTHY, dead_letters


def figures(feed: Feed) -> Iterable[Metric]:
    """The current figures for Prometheus."""
    publisher, pressure = feed.publisher, feed.pressure
    yield HEALTHY.value(float(feed.health().ok))
    yield BUS_CONNECTED.value(float(feed.connected))
    yield metrics.WRITER_LAG.value(pressure.writer_lag)
    yield metrics.BUS_MEMORY.value(pressure.memory)
    yield dead_letters(dict(feed.control.dead_letters.counts))
    yield TAKEN.value(feed.external_taken)
    if feed.recorder is not None:
        yield from _recording(feed.recorder)
    if feed.listener is not None:
        yield metrics.TICKS_DROPPED.value(feed.listener.dropped)
        yield from feed.listener.source.figures()
    if feed.runner is not None:
        rows = feed.runner.source.rows()
        yield metrics.ROWS.rows({(file, outcome): count for file, outcome, count in rows})
    if publisher is None:
        return
    now = host.monotonic()
    yield metrics.TICKS.values(dict(publisher.by_kind))
    ages = {name: now - at for name, at in publisher.last_tick_at.copy().items()}
    yield DATA_AGE.values(ages)
    if publisher.last_clock_at is not None:
        yield CLOCK_AGE.value(now - publisher.last_clock_at)


def _recording(recorder: Recorder) -> Iterable[Metric]:
    yield metrics.RECORDING.value(float(not recorder.trouble))
    yield metrics.RECORDED.values(
        {
            "events": recorder.events_written,
            "frames": recorder.frames_written,
            "dropped": recorder.dropped,
        }
    )
