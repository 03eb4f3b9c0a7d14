"""The facts of a recorded paper run, gathered from its record by the observer of backtests."""

from collections import deque
from collections.abc import Callable

import msgspec

from services.kernel.events.codec import decode
from services.kernel.portfolio.stage import PortfolioStage
from services.record.reading import Record, RecordError
from services.record.runs import RecordedRun
from services.reports.run_facts import RunFacts
from services.reports.run_observer import RunObserver

REPORT_EVERY = 20_000


def facts_of(
    record: Record, run: RecordedRun, progress: Callable[[int], None] = lambda _: None
) -> RunFacts:
    """Read a run.

    Args:
        record: Where it is.
        run: Which.
        progress: Called with the number of events read, now and then.

    Raises:
        RecordError: An event cannot be read.
    """
    fold = PortfolioStage()
    observer = RunObserver(fold, "paper")
    for count, body in enumerate(record.bodies(run.span), 1):
        try:
            event = decode(body)
        except msgspec.DecodeError as error:
            raise RecordError(f"an event cannot be read ({error}): {body[:200]!r}") from None
        if event.TOPIC in fold.topics:
            fold.handle(event)
        observer.see(event, body)
        if count % REPORT_EVERY == 0:
            progress(count)
    facts = observer.facts()
    for link in deque(record.links(run.span), maxlen=1):
        facts.chain_head = link.chain_hash.hex()
    return facts
