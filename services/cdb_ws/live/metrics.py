"""The figures of the engine for ``/status`` and Prometheus.

They are read from another thread: collections that may grow meanwhile are copied first.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from services.cdb_ws.live.engine import Engine
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.runtime.service.metrics import gauge, total, totals

MOST_LISTED: Final = 50
"""Maximum number of symbols whose ages ``/status`` lists."""


def counts(engine: Engine) -> dict[str, object]:
    """Numbers of received, refused, recovered and lost items."""
    feeds, now = list(engine.feeds.values()), engine.time()
    return {
        "symbols": [feed.symbol for feed in feeds],
        "unknown_symbols": list(engine.universe.unknown),
        "positions_unlisted": engine.universe.unlisted(),
        "contracts": engine.book.status(engine.now_ms()),
        "sockets": {
            str(number): {
                "up": socket.up,
                "connections": socket.connection,
                "attempts": socket.attempts.made,
                "symbols": len(engine.pool.members(socket)),
                "ended": socket.reason,
            }
            for number, socket in engine.pool.sockets.copy().items()
        },
        "frames": engine.frames,
        "refused": dict(engine.refused),
        "ignored": dict(engine.ignored),
        "unknown_fields": dict(engine.fields.unknown),
        "trades": dict(_trade_counts(feeds)),
        "recovery": dict(engine.recoveries.counts),
        "uncertain": dict(engine.alerts.gaps),
        "gaps": engine.alerts.gaps_begun,
        "lost_spans": engine.alerts.lost_spans,
        "asked_again": engine.pool.asked_again,
        "moved": engine.pool.moved,
        "rest_asked": dict(engine.rest.limits.asked),
        "rest_failed": dict(engine.rest.failures),
        "rest_complaints": engine.rest.limits.complaints,
        "rest_polls": engine.polling.polls,
        "clock_offset_ms": engine.clock.offset_ms,
        "venue_says": engine.venue_says,
        "age_s": {
            feed.symbol: {name: round(age, 1) for name, age in feed.ages(now).items()}
            for feed in feeds[:MOST_LISTED]
        },
    }


def metrics(engine: Engine) -> Iterable[Metric]:
    """The current figures for Prometheus."""
    feeds = list(engine.feeds.values())
    sockets = list(engine.pool.sockets.copy().values())
    yield total("cdb_mexc_frames", "Frames received.", engine.frames)
    yield totals("cdb_mexc_refused", "Frames left out.", "reason", dict(engine.refused))
    yield totals("cdb_mexc_ignored", "Frames of unused channels.", "channel", dict(engine.ignored))
    yield totals(
        "cdb_mexc_trades", "Trades not published live.", "kind", dict(_trade_counts(feeds))
    )
    yield totals("cdb_mexc_recovery", "Holes filled.", "result", dict(engine.recoveries.counts))
    yield total("cdb_mexc_gaps", "Gaps opened.", engine.alerts.gaps_begun)
    yield total("cdb_mexc_lost_spans", "Spans lost for good.", engine.alerts.lost_spans)
    yield gauge("cdb_mexc_uncertain", "Symbols with an open gap.", len(engine.alerts.gaps))
    unlisted = len(engine.universe.unlisted())
    yield gauge("cdb_mexc_positions_unlisted", "Positions without a listed contract.", unlisted)
    yield gauge("cdb_mexc_sockets", "Sockets wanted.", len(sockets))
    yield gauge("cdb_mexc_sockets_up", "Sockets with data.", sum(one.up for one in sockets))
    connections = sum(one.connection for one in sockets)
    yield gauge("cdb_mexc_connections", "Connections of the present sockets so far.", connections)
    yield totals(
        "cdb_mexc_rest_requests", "REST requests.", "endpoint", dict(engine.rest.limits.asked)
    )
    yield totals("cdb_mexc_rest_failures", "Unanswered.", "endpoint", dict(engine.rest.failures))
    yield total("cdb_mexc_rest_limited", "Asked too often.", engine.rest.limits.complaints)
    if engine.clock.offset_ms is not None:
        offset = engine.clock.offset_ms / 1000
        yield gauge("cdb_mexc_clock_offset_seconds", "The venue's clock ahead of ours.", offset)
    yield _ages(feeds, engine.time())


def _trade_counts(feeds: list[SymbolFeed]) -> Counter[str]:
    found: Counter[str] = Counter()
    for feed in feeds:
        found.update(feed.sequence.counts.copy())
    return found


def _ages(feeds: list[SymbolFeed], now: float) -> Metric:
    family = GaugeMetricFamily(
        "cdb_mexc_data_age_seconds",
        "Since the last data of a symbol's channel.",
        labels=("symbol", "channel"),
    )
    for feed in feeds:
        for channel, age in feed.ages(now).items():
            family.add_metric((feed.symbol, channel), age)
    return family
