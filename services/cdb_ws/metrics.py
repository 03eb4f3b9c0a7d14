"""The metrics of ``cdb_ws``."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric

from services.cdb_ws.feed import Feed
from services.cdb_ws.recording.recorder import Recorder
from services.cdb_ws.sources.recorded import RecordedSource
from services.runtime import host
from services.runtime.service.metrics import gauge, gauges, total, totals


def figures(feed: Feed) -> Iterable[Metric]:
    """The current figures for Prometheus."""
    publisher, pressure = feed.publisher, feed.pressure
    yield gauge("cdb_healthy", "1 while /health answers 200.", float(feed.health().ok))
    yield gauge("cdb_bus_connected", "1 while the bus answers.", float(feed.connected))
    yield gauge("cdb_writer_lag_events", "Events the writer has to take.", pressure.writer_lag)
    yield gauge("cdb_bus_memory_ratio", "Used part of the bus's memory.", pressure.memory)
    yield totals(
        "cdb_dead_letters",
        "Messages that were refused.",
        "reason",
        dict(feed.control.dead_letters.counts),
    )
    yield total("cdb_external_taken", "Messages from outside published.", feed.external_taken)
    if feed.recorder is not None:
        yield from _recording(feed.recorder)
    if feed.listener is not None:
        yield total("cdb_ticks_dropped", "Ticks not published.", feed.listener.dropped)
        yield from feed.listener.source.figures()
    if feed.runner is not None:
        yield _rows(feed.runner.source)
    if publisher is None:
        return
    now = host.monotonic()
    yield totals("cdb_ticks", "Market data published.", "kind", dict(publisher.by_kind))
    ages = {name: now - at for name, at in publisher.last_tick_at.copy().items()}
    yield gauges("cdb_data_age_seconds", "Since a symbol's last tick.", "symbol", ages)
    if publisher.last_clock_at is not None:
        age = now - publisher.last_clock_at
        yield gauge("cdb_clock_age_seconds", "Since the last clock.", age)


def _recording(recorder: Recorder) -> Iterable[Metric]:
    yield gauge(
        "cdb_recording", "1 while what is published is recorded.", float(not recorder.trouble)
    )
    yield totals(
        "cdb_recorded",
        "Recorded, or not: events, frames, dropped.",
        "what",
        {
            "events": recorder.events_written,
            "frames": recorder.frames_written,
            "dropped": recorder.dropped,
        },
    )


def _rows(source: RecordedSource) -> Metric:
    family = CounterMetricFamily(
        "cdb_rows",
        "Rows of the recorded files, by outcome.",
        labels=("file", "outcome"),
    )
    for file, outcome, count in source.rows():
        family.add_metric((file, outcome), count)
    return family
