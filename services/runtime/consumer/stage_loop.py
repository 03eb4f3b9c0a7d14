"""The loop of a stage: its inputs in order, its outputs exactly once, whatever crashes when."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from services.kernel.events import AnyEvent, Clock, Event, MarketData, RunStarted, topics
from services.kernel.stage import Stage
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus, Heads, Published
from services.runtime.bus.records import is_lockstep
from services.runtime.bus.subscription import Batch, ExternalMessage, Subscription
from services.runtime.consumer import restart
from services.runtime.consumer.loop import Loop
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.consumer.pace import FreePace, LockStepPace
from services.runtime.intake import external
from services.runtime.service.backoff import retry

TakeExternal = Callable[[ExternalMessage, LoopContext], Sequence[Event]]


class StageLoop(Loop[list[Event], Subscription]):
    """Runs one stage on the bus.

    Counters besides those of `Loop`: ``outputs``, ``outside_taken``, ``outside_ignored``,
    ``snapshots``, ``turns_waited``.

    Args:
        stage: Freshly made; it becomes what snapshot and journal say.
        bus: Not claimed yet. The loop's thread need not be the only one that publishes.
        take_outside: Makes events of the messages from outside that this service answers for;
            raises ``external.InvalidMessageError``. Default: ``external.Intake``.
        outside_topics: Topics whose messages from outside are taken. Default: those of the service.
        acknowledges: False where no one needs to know which inputs without outputs are done.
        subscription: Makes the source; arguments as for ``Subscription``.
        from_record: For a service that reads the record in PostgreSQL itself: the seq behind which
            it begins without a snapshot.
        snapshot_every_s: Seconds between two snapshots.
        gather_s: As for ``Subscription``.
        options: As for `Loop`.

    Attributes:
        context: What is known of the run.
        newest_ms: Timestamp of the last event of the last batch with events.
        last_clock_ms: Event time; ``last_clock_monotonic`` is when it was received.
        last_data_ms: Per symbol, timestamp of the last market data; ``last_data_monotonic``
            likewise when it was received.
    """

    _intake: external.Intake

    def __init__(
        self,
        stage: Stage,
        bus: Bus,
        *,
        take_outside: TakeExternal | None = None,
        outside_topics: Sequence[str] | None = None,
        acknowledges: bool = True,
        subscription: Callable[..., Subscription] = Subscription,
        from_record: Callable[[], int] | None = None,
        snapshot_every_s: float = 5.0,
        gather_s: float = 0.0,
        **options: Any,
    ) -> None:
        foreign = stage.topics - topics.CONSUMES[bus.service]
        if foreign:
            raise ValueError(f"{bus.service} does not consume {', '.join(sorted(foreign))}")
        super().__init__(bus, **options)
        if outside_topics is None:
            owners = external.OWNERS.items()
            outside_topics = [topic for topic, owner in owners if owner == bus.service]
        self.stage = stage
        self.context = LoopContext()
        self.newest_ms = 0
        self.last_clock_ms: int | None = None
        self.last_clock_monotonic: float | None = None
        self.last_data_ms: dict[str, int] = {}
        self.last_data_monotonic: dict[str, float] = {}
        self._pristine = stage.snapshot()
        self._from_record = from_record
        self._use_snapshot = True
        self._take_outside = take_outside or self._normalise
        self._outside_topics = outside_topics
        self._acknowledges = acknowledges
        self._subscription = subscription
        self._snapshot_every_s, self._gather_s = snapshot_every_s, gather_s
        self._snapshot_cursor = 0
        self._snapshot_at = self.now()
        self._settled = True
        self._head_at_start = 0
        self._pace = FreePace(bus, 0, self.now)

    @property
    def cursor(self) -> int:
        """Seq of the last input that the bus knows to be done."""
        return self._pace.cursor

    @property
    def in_step(self) -> bool:
        """Whether this is a stage of a lock-step run; nobody waits for the other services."""
        return self._pace.in_step

    @property
    def caught_up(self) -> bool:
        """Whether everything that was published before this start has been handled."""
        return self._source is not None and self._source.position >= self._head_at_start

    # -- begin and end ------------------------------------------------------------------------

    def begin(self) -> Subscription:
        """Claim the place, become what the last snapshot says, subscribe after it.

        Raises:
            Unavailable: The bus is away or not open, or a snapshot has to be made again.
        """
        claim = self.bus.claim()
        self._intake = external.Intake(self.bus.service, f"{claim.epoch}:{claim.instance}")
        heads = self.bus.heads()
        self._head_at_start = heads.seq
        handled = self._snapshot_cursor = restart.begin(
            self.bus,
            self.stage,
            self.context,
            pristine=self._pristine,
            heads=heads,
            from_record=self._from_record,
            use_snapshot=self._use_snapshot,
        )
        self._use_snapshot = True
        self.last_clock_ms = self.context.clock_ms
        self._set_pace(heads, claim.cursor, handled)
        self._settled = True
        return self._subscribe(handled)

    def end(self) -> None:
        """Save a snapshot."""
        self.save_snapshot()

    def forget(self) -> None:
        """Make the state again from the record, whatever the snapshot says; the loop does it next.

        From the loop's own thread, where nothing is being handled.
        """
        self._use_snapshot = False
        self._close_source()

    def close(self) -> None:
        """Disconnect; no snapshot is taken."""
        self._pace.close()
        super().close()

    def save_snapshot(self) -> None:
        """Save the stage's state, if inputs were handled since the last time.

        Raises:
            Unavailable, Refused: It was not saved.
        """
        handled = self._source.position if self._source else 0
        # Before the predecessor's cursor is reached, the state is older than its outputs: good
        # enough to restart from, because those outputs are left out again. In the middle of a
        # batch it is not: the outputs so far may be unpublished.
        if handled <= self._snapshot_cursor or not self._settled:
            return
        self._confirm()
        snapshots.save(self.bus, self.stage.snapshot(), handled, self.context.snapshot())
        self._snapshot_cursor = handled
        self.counters["snapshots"] += 1

    # -- inputs and outputs -------------------------------------------------------------------

    def handle(self, batch: Batch) -> Iterator[tuple[list[Event], int]]:
        """What the stage makes of a batch; then the messages from outside are taken."""
        outputs: list[Event] = []
        handle, mine, pace = self.stage.handle, self.stage.topics, self._pace
        data_ms, data_monotonic = self.last_data_ms, self.last_data_monotonic
        received = began = self.now()
        in_step = pace.in_step
        self._settled = False
        if batch.events:
            self.newest_ms = batch.events[-1].timestamp
        for event in batch.events:
            if type(event) is MarketData:  # nearly all of them
                data_ms[event.symbol] = event.timestamp
                data_monotonic[event.symbol] = received
            else:
                self._observe(event)
            made = handle(event) if event.TOPIC in mine else None
            if made and event.seq > pace.cursor:  # else its outputs exist
                outputs += made
            if outputs and self._pace.is_due(outputs, began):
                yield outputs, event.seq
                outputs = []
                began = self.now()
            if in_step:
                self._pace.done(event.seq)
            if self._pace is not pace:
                # From here on another set of topics is to be read; the rest comes again.
                self._close_source()
                self._source = self._subscribe(event.seq)
                batch.upto = event.seq
                break
        pace = self._pace
        pace.done(batch.upto)  # in lock-step the outputs are published
        due = self._acknowledges and (not batch.events or pace.acknowledges())
        if batch.upto > pace.cursor and (outputs or due):
            yield outputs, batch.upto
        self._settled = True
        if batch.asked is not None:
            pace.answer(batch.asked)
        self._take(batch.outside)

    def commit(self, outputs: list[Event], position: int) -> None:
        """Publish outputs and acknowledge their inputs."""
        if outputs:
            self._confirm()
        self._pace.publish(outputs, position)
        self.counters["outputs"] += len(outputs)

    def publish(self, events: Sequence[Event], *, shell_id: str | None = None) -> Published:
        """Publish what the shell itself makes: conditions, alerts. From any thread."""
        return self.bus.publish(events, shell_id=shell_id)

    def _observe(self, event: AnyEvent) -> None:
        self.context.note(event)
        if isinstance(event, Clock):
            self.last_clock_ms = event.timestamp
            self.last_clock_monotonic = self.now()
        elif isinstance(event, RunStarted) and self._may_change_pace(in_step=is_lockstep(event)):
            # The run may be one of before: what counts is the one that the bus is at.
            heads = self.bus.heads()
            if self._may_change_pace(in_step=heads.in_step):
                self._set_pace(heads, self._pace.cursor, event.seq - 1)

    def _may_change_pace(self, *, in_step: bool) -> bool:
        return self.bus.service in topics.STAGE_ORDER and in_step is not self._pace.in_step

    def _set_pace(self, heads: Heads, cursor: int, handled: int) -> None:
        self._pace.close()
        if not heads.in_step or self.bus.service not in topics.STAGE_ORDER:
            self._pace = FreePace(self.bus, cursor, self.now)
            return
        self._pace = LockStepPace(
            self.bus,
            cursor,
            self.now,
            handled=handled,
            head=heads.seq,
            stopping=self.stopping,
            on_wait=self._note_wait,
            counters=self.counters,
        )

    # -- messages from outside ----------------------------------------------------------------

    def _take(self, messages: Sequence[ExternalMessage]) -> None:
        events: list[Event] = []
        for message in messages:
            if external.OWNERS[message.topic] != self.bus.service:
                self.counters["outside_ignored"] += 1
                continue
            try:
                events += self._take_outside(message, self.context)
            except external.InvalidMessageError as malformed:
                self.dead_letters.put(malformed.reason, message.topic, message.body, str(malformed))
        if events:
            # They are in no journal yet: what goes back to the snapshot would lose them.
            retry(lambda: self.bus.publish(events), self.stopping, self._note_wait)
            self.counters["outside_taken"] += len(events)

    def _normalise(self, message: ExternalMessage, context: LoopContext) -> Sequence[Event]:
        return [
            self._intake.take(
                message.topic,
                message.body,
                run_id=context.run_id,
                now_ms=context.clock_ms,
                behind_ms=context.behind_ms,
            )
        ]

    # -- now and then -------------------------------------------------------------------------

    def run_and_clock(self) -> tuple[str | None, int | None]:
        """The run and the clock, as far as received."""
        return self.context.run_id, self.context.clock_ms

    def housekeep(self) -> None:
        """Save a snapshot now and then, and trim the journal behind it."""
        now = self.now()
        if now - self._snapshot_at >= self._snapshot_every_s:
            self._snapshot_at = now
            self.save_snapshot()
            journal.trim(self.bus)

    def _confirm(self) -> None:
        if self._source is not None:
            self._source.confirm()

    def _subscribe(self, after: int) -> Subscription:
        in_step = self._pace.in_step
        return self._subscription(
            self.bus,
            # In lock-step every stage passes every seq, so that one cursor says it all.
            topics.TOPICS if in_step else topics.CONSUMES[self.bus.service],
            after,
            outside_topics=self._outside_topics,
            in_step=in_step,
            gather_s=self._gather_s,
        )
