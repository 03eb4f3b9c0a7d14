"""The loop around a stage: its inputs in order, its outputs exactly once, whatever crashes when."""

from collections import Counter
from collections.abc import Callable, Sequence

from services.kernel.events import AnyEvent, Clock, Event, MarketData, RunStarted, topics
from services.kernel.stage import Stage
from services.runtime import host
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus, Published, Refused, Unavailable
from services.runtime.bus.dead_letters import DeadLetters
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.records import is_lockstep
from services.runtime.bus.subscription import Batch, ExternalMessage, Rewound, Subscription
from services.runtime.consumer import restart
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.consumer.outbox import Outbox
from services.runtime.intake import external
from services.runtime.service.backoff import Backoff

OUTPUTS_AT_ONCE = 500
OUTPUTS_WAIT_S = 0.005
ACKNOWLEDGE_S = 0.2
"""Between two acknowledgements without outputs: each is a write to the server's disk."""
RECEIVE_S = 0.2


TakeExternal = Callable[[ExternalMessage, LoopContext], Sequence[Event]]


class StageLoop:
    """Runs one stage on the bus.

    Counters in ``counters``: ``inputs``, ``outputs``, ``outside_taken``, ``outside_ignored``,
    ``restarts``, ``snapshots``, ``turns_waited``.

    Args:
        stage: Freshly made; it becomes what snapshot and journal say.
        bus: Not claimed yet. The loop's thread need not be the only one that publishes.
        take_outside: Makes events of the messages from outside that this service answers for;
            raises ``external.InvalidMessageError``. Default: ``external.normalise``.
        on_batch: Called after a batch was handled, with the outputs, which are published.
        every_second: Called about once a second in the loop's thread, bus permitting.
        on_wait: Called with the reason when the bus is away.
        snapshot_every_s: Seconds between two snapshots.
        gather_s: As for ``Subscription``.

    Attributes:
        stopping: Ends every wait; ``run`` sets it to its own. Set it before ``start`` to drive the
            loop step by step.
        waiting_for: Why nothing goes on; None while it does.
        lag: Events published and not yet received, measured once a second.
        last_clock_ms: Event time; ``last_clock_monotonic`` is when it was received.
        last_data_ms: Per symbol, timestamp of the last market data; ``last_data_monotonic``
            likewise when it was received.
    """

    def __init__(
        self,
        stage: Stage,
        bus: Bus,
        *,
        take_outside: TakeExternal | None = None,
        on_batch: Callable[[Batch, Sequence[Event]], None] | None = None,
        every_second: Callable[[], None] | None = None,
        on_wait: Callable[[str], None] = lambda _: None,
        snapshot_every_s: float = 5.0,
        gather_s: float = 0.0,
    ) -> None:
        foreign = stage.topics - topics.CONSUMES[bus.service]
        if foreign:
            raise ValueError(f"{bus.service} does not consume {', '.join(sorted(foreign))}")
        self.stage = stage
        self.bus = bus
        self.dead_letters = DeadLetters(bus)
        self.counters: Counter[str] = Counter()
        self.context = LoopContext()
        self.stopping = host.event()
        self.lag = 0
        self.waiting_for: str | None = "the first connection"
        self.last_clock_ms: int | None = None
        self.last_clock_monotonic: float | None = None
        self.last_data_ms: dict[str, int] = {}
        self.last_data_monotonic: dict[str, float] = {}
        self._pristine = stage.snapshot()
        self._from_record: Callable[[], int] | None = None
        self._use_snapshot = True
        self._take_outside = take_outside or self._normalise
        self._on_batch = on_batch
        self._every_second = every_second
        self._on_wait = on_wait
        self._snapshot_every_s, self._gather_s = snapshot_every_s, gather_s
        self._snapshot_cursor = 0
        self._snapshot_at, self._second_at = host.monotonic(), 0.0
        self._settled = True
        self._head_at_start = 0
        self._subscription: Subscription | None = None
        self._intake: external.Intake | None = None
        self._outbox = Outbox(
            bus,
            stopping=lambda: self.stopping,
            confirm=self._confirm,
            on_wait=self._note_wait,
            counters=self.counters,
        )

    @property
    def cursor(self) -> int:
        """Seq of the last input that the bus knows to be done."""
        return self._outbox.cursor

    @property
    def in_step(self) -> bool:
        """Whether this is a stage of a lock-step run; nobody waits for the other services."""
        return self._outbox.in_step

    @property
    def caught_up(self) -> bool:
        """Whether everything that was published before this start has been handled."""
        return self._subscription is not None and self._subscription.position >= self._head_at_start

    # -- life ---------------------------------------------------------------------------------

    def run(self, stop: host.Event) -> None:
        """Run until asked to stop; then save a snapshot.

        Raises:
            Refused: ``FENCED``, when another instance took over; ``TOPIC``, when the stage makes
                what this service must not publish.
        """
        self.stopping = stop
        backoff = Backoff()
        try:
            while not stop.is_set():
                self._guarded_step(backoff)
            self.save_snapshot()
        except Unavailable as reason:
            self._on_wait(f"no snapshot at the end: {reason}")
        finally:
            self.close()

    def start(self) -> None:
        """Claim the place, become what the last snapshot says, subscribe after it.

        Raises:
            Unavailable: The bus is away or not open, or a snapshot has to be made again.
        """
        self._close_subscription()
        self.counters["restarts"] += 1
        claim = self.bus.claim()
        self._intake = external.Intake(self.bus.service, f"{claim.epoch}:{claim.instance}")
        heads = self.bus.heads()
        self._head_at_start = heads.seq
        self._snapshot_cursor = restart.begin(
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
        in_step = self._waited_for(heads.in_step)
        self._outbox.begin(
            claim.cursor, handled=self._snapshot_cursor, head=heads.seq, in_step=in_step
        )
        self._subscribe(self._snapshot_cursor)
        self._settled = True

    def step(self, timeout: float) -> int:
        """Receive, handle and publish once.

        Returns:
            How many inputs were handled.

        Raises:
            Unavailable, Refused, Rewound, JournalTrimmed: As ``run`` says.
        """
        if self._subscription is None:
            raise RuntimeError("start the loop before its first step")
        batch = self._subscription.receive(timeout)
        self.waiting_for = None
        for malformed in batch.malformed:
            self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
        outputs = self._handle(batch)
        if batch.asked is not None:
            self._outbox.answer(batch.asked)
        self._take(batch.outside)
        if self._on_batch is not None:
            self._on_batch(batch, outputs)
        self._housekeep()
        return len(batch.events)

    def forget(self) -> None:
        """Make the state again from the record, whatever the snapshot says; the loop does it next.

        From the loop's own thread, where nothing is being handled.
        """
        self._use_snapshot = False
        self._close_subscription()

    def close(self) -> None:
        """Disconnect; no snapshot is taken."""
        self._close_subscription()
        self._outbox.close()
        self.bus.close()

    def save_snapshot(self) -> None:
        """Save the stage's state, if inputs were handled since the last time.

        Raises:
            Unavailable, Refused: It was not saved.
        """
        handled = self._subscription.position if self._subscription else 0
        # Before the predecessor's cursor is reached, the state is older than its outputs: good
        # enough to restart from, because those outputs are left out again. In the middle of a
        # batch it is not: the outputs so far may be unpublished.
        if handled <= self._snapshot_cursor or not self._settled:
            return
        self._confirm()
        snapshots.save(self.bus, self.stage.snapshot(), handled, self.context.snapshot())
        self._snapshot_cursor = handled
        self.counters["snapshots"] += 1

    def publish(self, events: Sequence[Event], *, shell_id: str | None = None) -> Published:
        """Publish what the shell itself makes: conditions, alerts. From any thread."""
        return self.bus.publish(events, shell_id=shell_id)

    def _guarded_step(self, backoff: Backoff) -> None:
        try:
            if self._subscription is None:
                self.start()
            self.step(RECEIVE_S)
            backoff.reset()
        except Unavailable as reason:
            # Which inputs are settled, the bus knows; which were only received, nobody does.
            self._begin_again(str(reason), backoff)
        except JournalTrimmed as trimmed:
            self._begin_again(str(trimmed), backoff)
        except Rewound as rewound:
            for malformed in rewound.malformed:
                self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
            self._begin_again(str(rewound), backoff)
        except Refused as refused:
            if refused.reason not in {"EPOCH", "LOST", "STALE_CURSOR", "FUTURE_CURSOR"}:
                raise
            self._begin_again(str(refused), backoff)

    # -- inputs -------------------------------------------------------------------------------

    def _handle(self, batch: Batch) -> list[Event]:
        every: list[Event] = []
        outputs: list[Event] = []
        handle, mine, outbox = self.stage.handle, self.stage.topics, self._outbox
        data_ms, data_monotonic = self.last_data_ms, self.last_data_monotonic
        received = began = host.monotonic()
        in_step = outbox.in_step
        self._settled = False
        for event in batch.events:
            if type(event) is MarketData:  # nearly all of them
                data_ms[event.symbol] = event.timestamp
                data_monotonic[event.symbol] = received
            else:
                self._observe(event)
            made = handle(event) if event.TOPIC in mine else None
            if made and event.seq > outbox.cursor:  # else its outputs exist
                outputs += made
            if outputs and self._publish_now(outputs, began):
                outbox.publish(outputs, event.seq)
                every += outputs
                outputs = []
                began = host.monotonic()
            if in_step:
                outbox.done(event.seq)
            if outbox.in_step is not in_step:
                # From here on another set of topics is to be read; the rest comes again.
                self._subscribe(event.seq)
                batch.upto = event.seq
                break
        if outbox.in_step:
            outbox.done(batch.upto)  # the outputs were published one by one
        due = not batch.events or began - outbox.acknowledged_at > ACKNOWLEDGE_S
        if batch.upto > outbox.cursor and (outputs or due):
            outbox.publish(outputs, batch.upto)
            every += outputs
        self._settled = True
        self.counters["inputs"] += len(batch.events)
        return every

    def _publish_now(self, outputs: list[Event], began: float) -> bool:
        late = host.monotonic() - began > OUTPUTS_WAIT_S
        return self._outbox.in_step or late or len(outputs) >= OUTPUTS_AT_ONCE

    def _observe(self, event: AnyEvent) -> None:
        self.context.note(event)
        if isinstance(event, Clock):
            self.last_clock_ms = event.timestamp
            self.last_clock_monotonic = host.monotonic()
        elif isinstance(event, RunStarted):
            self._outbox.in_step = self._waited_for(is_lockstep(event))

    def _waited_for(self, in_step: bool) -> bool:
        return in_step and self.bus.service in topics.STAGE_ORDER

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
            self._outbox.publish_apart(events)
            self.counters["outside_taken"] += len(events)

    def _normalise(self, message: ExternalMessage, context: LoopContext) -> Sequence[Event]:
        assert self._intake is not None
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

    def _housekeep(self) -> None:
        now = host.monotonic()
        if now - self._second_at < 1.0:
            return
        self._second_at = now
        assert self._subscription is not None
        self.lag = self._subscription.lag()
        self.dead_letters.report(self.context.run_id, self.context.clock_ms)
        if now - self._snapshot_at >= self._snapshot_every_s:
            self._snapshot_at = now
            self.save_snapshot()
            journal.trim(self.bus)
        if self._every_second is not None:
            self._every_second()

    def _confirm(self) -> None:
        if self._subscription is not None:
            self._subscription.confirm()

    def _begin_again(self, reason: str, backoff: Backoff) -> None:
        """The one rule after a failure: back to the snapshot, and the journal after it again."""
        self._close_subscription()
        self._note_wait(reason)
        backoff.wait(self.stopping)

    def _note_wait(self, reason: str) -> None:
        self.waiting_for = reason
        self._on_wait(reason)

    def _subscribe(self, after: int) -> None:
        self._close_subscription()
        service = self.bus.service
        self._subscription = Subscription(
            self.bus,
            # In lock-step everybody passes every seq, so that one cursor tells it all.
            topics.TOPICS if self._outbox.in_step else topics.CONSUMES[service],
            after,
            outside_topics=[topic for topic, owner in external.OWNERS.items() if owner == service],
            in_step=self._outbox.in_step,
            gather_s=self._gather_s,
        )

    def _close_subscription(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
