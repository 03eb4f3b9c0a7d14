"""The metrics of ``cdb_ws``; those of a live venue begin with ``cdb_mexc``."""

from typing import Final

from services.cdb_ws.config import SERVICE
from services.runtime.consumer.stage_metrics import CLOCK_AGE, DATA_AGE, TAKEN
from services.runtime.service.declared_metric import SHORT_SECONDS, counter, gauge, histogram
from services.runtime.service.metrics import BUS_CONNECTED, shell_metrics

WRITER_LAG = gauge("cdb_writer_lag_events", "events", "Events cdb_db_writer has not taken yet.")
BUS_MEMORY = gauge("cdb_bus_memory_ratio", "fraction", "Used part of the bus's memory.")
RECORDING = gauge("cdb_recording", "flag", "1 while what is published is recorded.")
RECORDED = counter(
    "cdb_recorded_total",
    "items",
    "Recorded and dropped items.",
    what="events, frames, dropped",
)
TICKS = counter("cdb_ticks_total", "ticks", "Market data published.", kind="kinds of market data")
TICKS_DROPPED = counter("cdb_ticks_dropped_total", "ticks", "Ticks not published: the bus is full.")
ROWS = counter(
    "cdb_rows_total",
    "rows",
    "Rows of the recorded files, by outcome.",
    file="files of CDB_DATA",
    outcome="accepted, or why the row was left out",
)
PUBLISH_SECONDS = histogram(
    "cdb_publish_seconds", "seconds", "Time of one publication of market data.", SHORT_SECONDS
)
FRAMES = counter("cdb_mexc_frames_total", "frames", "Frames received.")
FRAMES_REFUSED = counter(
    "cdb_mexc_refused_total", "frames", "Frames left out.", reason="codes of the feed"
)
FRAMES_IGNORED = counter(
    "cdb_mexc_ignored_total",
    "frames",
    "Frames of channels that are not used.",
    channel="the first channels seen, and `others`",
)
UNPUBLISHED_TRADES = counter(
    "cdb_mexc_trades_total",
    "trades",
    "Trades not published as live ones, and why.",
    kind="duplicate, late, recovered and the other codes of the trade sequence",
)
RECOVERY = counter(
    "cdb_mexc_recovery_total", "requests", "Recovery of gaps.", result="codes of the recovery"
)
GAPS = counter("cdb_mexc_gaps_total", "gaps", "Gaps opened.")
LOST_SPANS = counter("cdb_mexc_lost_spans_total", "spans", "Spans whose trades are lost.")
UNCERTAIN = gauge("cdb_mexc_uncertain", "symbols", "Symbols with an open gap.")
UNLISTED = gauge("cdb_mexc_positions_unlisted", "positions", "Positions without a listed contract.")
SOCKETS = gauge("cdb_mexc_sockets", "sockets", "Sockets wanted.")
SOCKETS_UP = gauge("cdb_mexc_sockets_up", "sockets", "Sockets with data.")
CONNECTIONS = gauge(
    "cdb_mexc_connections", "connections", "Connections of the present sockets so far."
)
REST_REQUESTS = counter(
    "cdb_mexc_rest_requests_total", "requests", "REST requests.", endpoint="REST endpoints used"
)
REST_FAILURES = counter(
    "cdb_mexc_rest_failures_total",
    "requests",
    "REST requests without an answer.",
    endpoint="REST endpoints used",
)
REST_LIMITED = counter(
    "cdb_mexc_rest_limited_total", "answers", "Answers that said: too many requests."
)
CLOCK_OFFSET = gauge(
    "cdb_mexc_clock_offset_seconds", "seconds", "The venue's clock less the machine's."
)
CHANNEL_AGE = gauge(
    "cdb_mexc_data_age_seconds",
    "seconds",
    "Time since the last data of a symbol's channel.",
    symbol="subscribed symbols",
    channel="subscribed channels",
)
VENUE: Final = (
    *(FRAMES, FRAMES_REFUSED, FRAMES_IGNORED, UNPUBLISHED_TRADES, RECOVERY, GAPS, LOST_SPANS),
    *(UNCERTAIN, UNLISTED, SOCKETS, SOCKETS_UP, CONNECTIONS, REST_REQUESTS, REST_FAILURES),
    *(REST_LIMITED, CLOCK_OFFSET, CHANNEL_AGE),
)
"""What only a live venue has."""
METRICS: Final = (
    *(*shell_metrics(SERVICE), BUS_CONNECTED, CLOCK_AGE, DATA_AGE, TAKEN, WRITER_LAG, BUS_MEMORY),
    *(RECORDING, RECORDED, TICKS, TICKS_DROPPED, ROWS, PUBLISH_SECONDS, *VENUE),
)
