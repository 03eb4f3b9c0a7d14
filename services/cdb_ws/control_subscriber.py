"""Receives what ``cdb_ws`` consumes: control, fills, its own clock, and external messages.

``cdb_ws`` is no stage: no service waits for its acknowledgements, and the market, not an input,
causes its publications. It therefore has a subscriber instead of the loop of the stages.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from services.cdb_ws.replay.past import KEEP_MS
from services.kernel.events import Clock
from services.kernel.events.topics import CONSUMES as CONSUMED_TOPICS
from services.kernel.events.topics import CONTROL, MARKET_DATA, ORDER_RESULTS, WS
from services.kernel.market.run_watch import RunWatch
from services.runtime import host
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.dead_letters import DeadLetters
from services.runtime.bus.subscription import Batch, ExternalMessage, Subscription
from services.runtime.consumer import restart
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.intake.external import InvalidMessageError

HOUSEKEEP_EVERY_S: Final = 1.0

TakeExternal = Callable[[ExternalMessage, LoopContext], None]


class ControlSubscriber:
    """Receives the topics of ``cdb_ws`` in order, across restarts.

    Args:
        watch: Handles every event but the clocks.
        bus: Claimed by ``start``.
        take_outside: Takes an external message, or raises ``InvalidMessageError``.
        receive_market_data: Whether external messages on ``market_data`` are received too; that
            costs
        a check of each of our own ticks.
        keep_every_s: Seconds between two snapshots.

    Attributes:
        context: The run and the clock, as far as received.
        ignored: External messages that another service handles.
    """

    def __init__(
        self,
        watch: RunWatch,
        bus: Bus,
        take_outside: TakeExternal,
        *,
        receive_market_data: bool = True,
        keep_every_s: float = 10.0,
    ) -> None:
        self.context = LoopContext()
        self.dead_letters = DeadLetters(bus)
        self.ignored = 0
        self._watch = watch
        self._bus = bus
        self._take_outside = take_outside
        self._outside_topics = (MARKET_DATA,) if receive_market_data else ()
        self._keep_every_s = keep_every_s
        self._pristine = watch.snapshot()
        self._subscription: Subscription | None = None
        self._kept = 0
        self._clocks: deque[tuple[int, int]] = deque()
        self._keep_at = 0.0
        self._housekeep_at = 0.0

    def start(self) -> None:
        """Claim the service's place, and continue after the last snapshot.

        Raises:
            Unavailable: The bus is away or not open, or a snapshot has to be made again.
        """
        self.close()
        self._bus.claim()
        self._kept = restart.begin(
            self._bus,
            self._watch,
            self.context,
            pristine=self._pristine,
            heads=self._bus.heads(),
        )
        self._subscribe(self._kept)

    def receive(self, timeout: float) -> None:
        """Take the waiting events; wait up to ``timeout`` seconds for the first.

        Raises:
            Unavailable: The bus is away; call again.
            Rewound: The bus lost something; start again.
        """
        assert self._subscription is not None, "start first"
        batch = self._subscription.receive(timeout)
        self._note(batch)
        self._housekeep()

    def keep(self) -> None:
        """Save the state, so that the journal before it is no longer needed for this service.

        Raises:
            Unavailable, Refused: It was not saved.
        """
        received = self._subscription.position if self._subscription else 0
        if received > self._kept:
            snapshots.save(self._bus, self._watch.snapshot(), received, self.context.snapshot())
            self._kept = received
        if self._kept and self._clocks:
            # The journal is kept a while longer: a restarted source reads it.
            journal.record_commit(self._bus, min(self._kept, self._clocks[0][1]))

    def close(self) -> None:
        """Stop receiving; nothing is saved."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _subscribe(self, after: int) -> None:
        self.close()
        self._subscription = Subscription(
            self._bus, CONSUMED_TOPICS[WS], after, outside_topics=self._outside_topics
        )

    def _note(self, batch: Batch) -> None:
        for malformed in batch.malformed:
            self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
        for event in batch.events:
            self.context.note(event)
            if isinstance(event, Clock):
                self._clocks.append((event.timestamp, event.seq))
                while len(self._clocks) > 1 and self._clocks[1][0] <= event.timestamp - KEEP_MS:
                    self._clocks.popleft()
                continue
            self._watch.handle(event)
        for message in batch.outside:
            self._take(message)

    def _take(self, message: ExternalMessage) -> None:
        if message.topic in (CONTROL, ORDER_RESULTS):
            self.ignored += 1  # risk handles commands, execution handles results
            return
        try:
            self._take_outside(message, self.context)
        except InvalidMessageError as malformed:
            self.dead_letters.put(malformed.reason, message.topic, message.body, str(malformed))

    def _housekeep(self) -> None:
        now = host.monotonic()
        if now < self._housekeep_at:
            return
        self._housekeep_at = now + HOUSEKEEP_EVERY_S
        self.dead_letters.report(self.context.run_id, self.context.clock_ms)
        if now >= self._keep_at:
            self._keep_at = now + self._keep_every_s
            self.keep()
            journal.trim(self._bus)
