"""What ``cdb_ws`` follows: control, fills and its own clock, and messages from outside."""

from collections import deque
from collections.abc import Callable, Sequence

from services.cdb_ws.replay.past import KEEP_MS
from services.kernel.events import AnyEvent, Clock, Event
from services.kernel.events.topics import MARKET_DATA
from services.kernel.market.run_watch import RunWatch
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from services.runtime.bus.subscription import ExternalMessage
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.consumer.stage_loop import StageLoop


class ControlSubscriber(StageLoop):
    """The loop of a stage without outputs, driven step by step by the feed.

    The feed's publications are driven by the market and not by an input, so no input is
    acknowledged. Only the feed starts the loop: that claims the service's place, and ends what is
    being published.

    Args:
        watch: Follows the run.
        bus: The feed's own.
        take_outside: Takes a message from outside; or raises ``InvalidMessageError``.
        receive_market_data: Whether messages from outside on ``market_data`` are received; that
            costs a look at each of one's own ticks.
        snapshot_every_s: Seconds between two snapshots.
    """

    def __init__(
        self,
        watch: RunWatch,
        bus: Bus,
        take_outside: Callable[[ExternalMessage, LoopContext], None],
        *,
        receive_market_data: bool = True,
        snapshot_every_s: float = 10.0,
    ) -> None:
        def take(message: ExternalMessage, context: LoopContext) -> Sequence[Event]:
            take_outside(message, context)
            return ()

        super().__init__(
            watch,
            bus,
            take_outside=take,
            outside_topics=(MARKET_DATA,) if receive_market_data else (),
            acknowledges=False,
            snapshot_every_s=snapshot_every_s,
        )
        self._snapshot_at = 0.0  # the first one at once: without it no journal is trimmed
        self._clocks: deque[tuple[int, int]] = deque()

    def save_snapshot(self) -> None:
        """As `StageLoop.save_snapshot`; the journal behind it is kept for a while."""
        super().save_snapshot()
        if self._snapshot_cursor and self._clocks:
            # A restarted source looks back into its own ticks, from the oldest clock on.
            journal.record_commit(self.bus, min(self._snapshot_cursor, self._clocks[0][1] - 1))

    def _observe(self, event: AnyEvent) -> None:
        super()._observe(event)
        if isinstance(event, Clock):
            self._clocks.append((event.timestamp, event.seq))
            while len(self._clocks) > 1 and self._clocks[1][0] <= event.timestamp - KEEP_MS:
                self._clocks.popleft()
