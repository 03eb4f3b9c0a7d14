"""A subscription: the journal filtered by some topics, in order, without a gap, as it happens.

Pub/Sub brings the events; the journal decides. What came over the socket is taken only when it
is dense per topic and its last event of each topic is in its producer's journal: the real event
at that place would have come before it, so nothing forged can hide in between.
"""

import re
from collections.abc import Collection
from typing import Any

import msgspec

from services.kernel.events import codec
from services.kernel.events import topics as kernel_topics
from services.runtime import host
from services.runtime.bus import journal
from services.runtime.bus.batch import Batch, ExternalMessage, InvalidMessage, Rewound
from services.runtime.bus.bus import Bus, Heads, Unavailable
from services.runtime.bus.journal import Entry
from services.runtime.bus.redis.connection import Connection, ConnectionLost, pack
from services.runtime.bus.redis.names import TURN_CHANNEL

__all__ = ["Batch", "ExternalMessage", "InvalidMessage", "Rewound", "Subscription"]

NEAR = 5000
"""Events behind the head from which on subscribing is worth it: the rest fits into buffers."""
CONFIRMATION_S = 5.0
LOOK_EVERY_S = 5.0
_TURN = TURN_CHANNEL.encode()
_TICKS = frozenset({kernel_topics.MARKET_DATA, kernel_topics.CLOCK})
_SEQUENCED = re.compile(rb'[,{]\s*"seq"\s*:\s*(\d{1,18})\s*[,}]')
LONGEST_END = 64
"""Bytes of what publishing appends to an event."""


class Subscription:
    """Receives the events of some topics after a seq: first from the journal, then as they come.

    Args:
        bus: For reading the journal; its socket is not the subscription's.
        topics: Topics whose events are delivered.
        after: Seq of the last event that is known already.
        outside_topics: Further topics whose messages without a seq are delivered.
        in_step: Also hear who asks for this stage's cursor, and leave the check of ticks and clock
            to ``confirm``: in lock-step they come one by one.
        gather_s: Seconds in which later events may join the first; more than 0 for whoever has
            nobody waiting for its outputs.
    """

    def __init__(
        self,
        bus: Bus,
        topics: Collection[str],
        after: int,
        *,
        outside_topics: Collection[str] = (),
        in_step: bool = False,
        gather_s: float = 0.0,
    ) -> None:
        self.position = after
        self.catch_ups = 0
        self.drops = 0
        self._bus = bus
        self._topics = frozenset(topics)
        self._in_step = in_step
        self._gather_s = gather_s
        turns = {TURN_CHANNEL} if in_step else set()
        self._channels = sorted(self._topics.union(outside_topics, turns))
        self._names = {name.encode(): name for name in self._channels}
        self._unconfirmed: dict[str, Entry] = {}
        self._epoch = bus.claimed.epoch if bus.claimed else None
        self._live: Connection | None = None
        self._waiting: list[Any] = []
        self._last: Entry | None = None
        self._target: Heads | None = None
        self._topic_seqs: dict[str, int] = {}
        self._fenced = False
        self._known: dict[int, bytes] = {}
        self._looked_at = host.monotonic()

    def receive(self, timeout: float) -> Batch:
        """Everything that waits; blocks up to ``timeout`` seconds for the first message.

        Raises:
            Unavailable: The bus is away; call again with back-off.
            Rewound: The bus lost events that were delivered.
            JournalTrimmed: The journal no longer holds what comes next.
        """
        batch = self._receive(timeout)
        if batch.events:
            last = batch.events[-1]
            self._last = Entry(last.seq, last.producer, batch.bodies[-1])
        return batch

    def _receive(self, timeout: float) -> Batch:
        try:
            if self._live is None:
                return self._approach()
            if self._target is not None:
                return self._close_up()
            replies = self._next_replies(timeout)
            if not replies:
                self._look_behind()
                return Batch(upto=self.position)
            self._looked_at = host.monotonic()
            return self._take(replies)
        except ConnectionLost:
            if self._live is None:
                raise
            # A restart of the server, or it dropped us because we were slow.
            self.drop()
            return Batch(upto=self.position)
        except BaseException:
            self.close()
            raise

    def confirm(self) -> None:
        """Check what was left unchecked in lock-step; before anything is made of it.

        Raises:
            Rewound: Somebody sent ticks that nobody published, and they were delivered.
        """
        if self._unconfirmed and not journal.holds_all(self._bus, self._unconfirmed.values()):
            raise Rewound(
                "ticks were delivered that no journal holds",
                [
                    InvalidMessage(topic, entry.body, "NOT_IN_JOURNAL")
                    for topic, entry in self._unconfirmed.items()
                    if not journal.holds_all(self._bus, [entry])
                ],
            )
        self._unconfirmed = {}

    def lag(self) -> int:
        """Events of the topics that are published and not yet delivered.

        Where there are none, ``position`` moves to the head: a reader of rare events must not
        keep the journal of frequent ones from being trimmed. Call it when everything received
        has been handled.
        """
        heads = self._checked_heads()
        if not self._topic_seqs:
            return heads.behind(self.position)
        behind = sum(heads.topic_seqs[name] - self._topic_seqs[name] for name in self._topics)
        if behind == 0:
            self.position = heads.seq
        return behind

    def drop(self) -> None:
        """Disconnect; the next ``receive`` connects and catches up."""
        self.drops += 1
        self.close()

    def close(self) -> None:
        """Disconnect."""
        if self._live is not None:
            self._live.close()
        self._live, self._target, self._waiting = None, None, []
        self._topic_seqs, self._known = {}, {}

    # -- from the journal ---------------------------------------------------------------------

    def _approach(self) -> Batch:
        heads = self._checked_heads()
        self._check_last(heads)
        if heads.behind(self.position) > NEAR:
            return self._page(heads.seq)
        live = self._bus.open_connection("subscriber")
        try:
            self._waiting = self._subscribe(live)
            self._target = self._checked_heads()
            # The answer comes after every message that was published before the heads were read.
            live.send(pack("PING"))
        except BaseException:
            live.close()
            raise
        self._live, self._fenced = live, False
        self.catch_ups += 1
        return self._close_up()

    def _check_last(self, heads: Heads) -> None:
        """A server that came back with less may have come as far again, by another way."""
        last = self._last
        if last is None or last.seq <= heads.trimmed:
            return
        if not journal.holds_all(self._bus, [last]):
            raise Rewound(f"event {last.seq} was delivered, and no journal holds it any more")

    def _subscribe(self, live: Connection) -> list[Any]:
        live.send(pack("SUBSCRIBE", *self._channels))
        deadline = host.monotonic() + CONFIRMATION_S
        missing, messages = len(self._channels), []
        while missing:
            replies = live.receive(deadline - host.monotonic())
            if not replies:
                raise Unavailable(f"SUBSCRIBE was not confirmed within {CONFIRMATION_S:g} s")
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
                if reply[0] == b"subscribe":
                    missing -= 1
                else:
                    messages.append(reply)
        return messages

    def _close_up(self) -> Batch:
        target = self._target
        assert target is not None
        batch = self._page(target.seq)
        if self.position >= target.seq:
            self._topic_seqs = dict(target.topic_seqs)
            self._target = None
        return batch

    def _page(self, upto: int) -> Batch:
        if self.position >= upto:
            return Batch(upto=self.position)
        entries, complete = journal.read_page(self._bus, self._topics, self.position, upto)
        batch = Batch(upto=complete)
        for entry in entries:
            self._append(batch, entry)
        self.position = complete
        return batch

    def _append(self, batch: Batch, entry: Entry) -> None:
        try:
            event = journal.open_entry(entry)
        except (msgspec.DecodeError, journal.Foreign) as error:
            newer = isinstance(error, codec.NewerSchemaError)
            reason = "NEWER_SCHEMA" if newer else "UNREADABLE"
            batch.malformed.append(InvalidMessage("journal", entry.body, reason, entry.seq))
            return
        if event.TOPIC in self._topics:
            batch.events.append(event)
            batch.bodies.append(entry.body)

    # -- as it happens ------------------------------------------------------------------------

    def _next_replies(self, timeout: float) -> list[Any]:
        assert self._live is not None
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            return waiting
        deadline = host.monotonic() + timeout
        while True:
            replies = self._live.receive(deadline - host.monotonic(), gather_s=self._gather_s)
            if len(replies) != 1 or replies[0][0] == b"message":
                return replies
            self._pass_fence(replies[0])

    def _take(self, replies: list[Any]) -> Batch:
        batch = Batch()
        began_at, position = self.position, self.position
        topic_seqs, mine, decode = self._topic_seqs, self._topics, codec.decode
        tails: dict[str, int] = {}
        for reply in replies:
            if reply[0] != b"message" or reply[1] == _TURN:
                self._pass_fence(reply)
                self._note_ask(batch, reply)
                continue
            topic, body = self._names[reply[1]], reply[2]
            if topic not in mine and _ends_published(body):
                continue  # of these topics only what comes from outside is wanted
            try:
                event = decode(body)
            except msgspec.DecodeError:
                if _seq_of(body):
                    return self._resolve(replies, began_at)
                batch.outside.append(ExternalMessage(topic, body))
                continue
            seq = event.seq
            if not seq:
                batch.outside.append(ExternalMessage(topic, body))
            elif topic not in mine or (seq <= began_at and self._is_repetition(seq, body)):
                continue
            elif (
                seq <= position or event.topic_seq != topic_seqs[topic] + 1 or topic != event.TOPIC
            ):
                return self._resolve(replies, began_at)
            else:
                topic_seqs[topic] += 1
                position = seq
                tails[topic] = len(batch.events)
                batch.events.append(event)
                batch.bodies.append(body)
        if tails and not self._in_journal(batch, tails):
            return self._resolve(replies, began_at)
        self.position = batch.upto = position
        return batch

    def _is_repetition(self, seq: int, body: bytes) -> bool:
        """Whether it was buffered while the journal was read: then it was delivered from there."""
        return not self._fenced and self._known.get(seq, body) == body

    def _pass_fence(self, reply: Any) -> None:
        if reply[0] == b"pong":
            self._fenced = True
            self._known = {}

    def _note_ask(self, batch: Batch, reply: Any) -> None:
        if reply[0] == b"message" and reply[1] == _TURN:
            service, _, cause = reply[2].decode("utf-8", "replace").partition(" ")
            if service != self._bus.service and cause.isascii() and cause.isdigit():
                batch.asked = max(batch.asked or 0, int(cause[:18]))

    def _in_journal(self, batch: Batch, tails: dict[str, int]) -> bool:
        entries = {
            topic: Entry(batch.events[i].seq, batch.events[i].producer, batch.bodies[i])
            for topic, i in tails.items()
        }
        if self._in_step:
            for topic in _TICKS.intersection(entries):
                self._unconfirmed[topic] = entries.pop(topic)
        return not entries or journal.holds_all(self._bus, entries.values())

    def _resolve(self, replies: list[Any], after: int) -> Batch:
        """Something does not fit: read from the journal what really happened."""
        assert self._live is not None
        self.confirm()
        self.catch_ups += 1
        heads = self._checked_heads()
        batch = Batch(upto=heads.seq)
        entries = list(journal.read_entries(self._bus, self._topics, after, heads.seq))
        for entry in entries:
            self._append(batch, entry)
        real = {entry.seq: entry.body for entry in entries}
        for reply in replies:
            self._note_ask(batch, reply)
            if reply[0] == b"message" and reply[1] != _TURN:
                self._judge(batch, self._names[reply[1]], reply[2], real, after)
        self._live.send(pack("PING"))
        self._fenced, self._known = False, real
        self.position, self._topic_seqs = heads.seq, dict(heads.topic_seqs)
        return batch

    def _judge(
        self, batch: Batch, topic: str, body: bytes, real: dict[int, bytes], after: int
    ) -> None:
        seq = _seq_of(body)
        if not seq:
            batch.outside.append(ExternalMessage(topic, body))
        elif topic not in self._topics or real.get(seq) == body:
            return
        elif seq <= after and self._held(seq, body):
            if self._fenced:
                batch.malformed.append(InvalidMessage(topic, body, "REPLAYED"))
        else:
            batch.malformed.append(InvalidMessage(topic, body, "NOT_IN_JOURNAL"))

    def _held(self, seq: int, body: bytes) -> bool:
        try:
            return journal.holds(self._bus, codec.decode(body).producer, seq, body)
        except msgspec.DecodeError:
            return False

    # -- watch --------------------------------------------------------------------------------

    def _look_behind(self) -> None:
        """In a silence, ask whether it is one: a dead connection is as silent as a quiet market."""
        if host.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = host.monotonic()
        if self.lag() > 0 and self._live is not None and not self._peek():
            self.drop()

    def _peek(self) -> bool:
        assert self._live is not None
        self._waiting = self._live.receive(0.1)
        return bool(self._waiting)

    def _checked_heads(self) -> Heads:
        heads = self._bus.heads()
        if self._epoch is None:
            self._epoch = heads.epoch
        if heads.epoch != self._epoch:
            raise Rewound(f"the bus is at epoch {heads.epoch}, not {self._epoch}")
        if heads.seq < self.position:
            raise Rewound(f"the bus is at seq {heads.seq}, and {self.position} was delivered")
        return heads


def _ends_published(body: bytes) -> bool:
    """Whether a message ends as publishing ends each event; no look at the rest."""
    return b',"topic_seq":' in body[-LONGEST_END:] and not body.endswith(b":0}")


def _seq_of(body: bytes) -> int:
    """The seq that a message claims, parseable or not; 0 if none."""
    try:
        return codec.decode(body).seq
    except msgspec.DecodeError:
        found = _SEQUENCED.search(body)
        return int(found.group(1)) if found else 0
