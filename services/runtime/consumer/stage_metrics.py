"""The metrics of a service that is a stage on the bus."""

from typing import Final

from services.runtime.service.declared_metric import (
    LONG_SECONDS,
    SHORT_SECONDS,
    DeclaredMetric,
    counter,
    gauge,
    histogram,
)
from services.runtime.service.metrics import BUS_CONNECTED, BUS_LAG

CLOCK_AGE = gauge("cdb_clock_age_seconds", "seconds", "Time since the last clock.")
DATA_AGE = gauge(
    "cdb_data_age_seconds",
    "seconds",
    "Time since a symbol's last tick.",
    symbol="symbols with data in this run",
)
CURSOR = gauge("cdb_cursor_seq", "seq", "Seq of the last input that is done.")
HANDLED = counter("cdb_events_handled_total", "events", "Inputs handled.")
PUBLISHED = counter("cdb_events_published_total", "events", "Outputs published.")
TAKEN = counter("cdb_external_taken_total", "messages", "Messages from outside published.")
IGNORED = counter(
    "cdb_external_ignored_total", "messages", "Messages from outside left to their topic's owner."
)
SNAPSHOTS = counter("cdb_snapshots_total", "snapshots", "Snapshots saved.")
RESTARTS = counter("cdb_bus_restarts_total", "restarts", "Starts from what is settled.")
BATCH_SECONDS = histogram(
    "cdb_batch_seconds",
    "seconds",
    "From the receipt of a batch to the publication of what it caused.",
    SHORT_SECONDS,
)
EVENT_AGE = histogram(
    "cdb_event_age_seconds",
    "seconds",
    "Live markets: wall time less event time of a batch's newest event, once it is handled.",
    LONG_SECONDS,
)
STAGE: Final[tuple[DeclaredMetric, ...]] = (
    *(BUS_CONNECTED, BUS_LAG, CLOCK_AGE, DATA_AGE, CURSOR, HANDLED, PUBLISHED),
    *(TAKEN, IGNORED, SNAPSHOTS, RESTARTS, BATCH_SECONDS, EVENT_AGE),
)
