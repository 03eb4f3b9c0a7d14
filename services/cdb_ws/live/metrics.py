"""The figures of the engine for ``/status`` and Prometheus.

They are read from another thread: collections that may grow meanwhile are copied first.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from services.cdb_ws import metrics as declared
from services.cdb_ws.live.engine import Engine
from services.cdb_ws.symbols.symbol_feed import SymbolFeed

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
    yield declared.FRAMES.value(engine.frames)
    yield declared.FRAMES_REFUSED.values(dict(engine.refused))
    yield declared.FRAMES_IGNORED.values(dict(engine.ignored))
    yield declared.UNPUBLISHED_TRADES.values(dict(_trade_counts(feeds)))
    yield declared.RECOVERY.values(dict(engine.recoveries.counts))
    yield declared.GAPS.value(engine.alerts.gaps_begun)
    yield declared.LOST_SPANS.value(engine.alerts.lost_spans)
    yield declared.UNCERTAIN.value(len(engine.alerts.gaps))
    yield declared.UNLISTED.value(len(engine.universe.unlisted()))
    yield declared.SOCKETS.value(len(sockets))
    yield declared.SOCKETS_UP.value(sum(one.up for one in sockets))
    yield declared.CONNECTIONS.value(sum(one.connection for one in sockets))
    yield declared.REST_REQUESTS.values(dict(engine.rest.limits.asked))
    yield declared.REST_FAILURES.values(dict(engine.rest.failures))
    yield declared.REST_LIMITED.value(engine.rest.limits.complaints)
    if engine.clock.offset_ms is not None:
        yield declared.CLOCK_OFFSET.value(engine.clock.offset_ms / 1000)
    now = engine.time()
    yield declared.CHANNEL_AGE.rows(
        {(feed.symbol, channel): age for feed in feeds for channel, age in feed.ages(now).items()}
    )


def _trade_counts(feeds: list[SymbolFeed]) -> Counter[str]:
    found: Counter[str] = Counter()
    for feed in feeds:
        found.update(feed.sequence.counts.copy())
    return found
