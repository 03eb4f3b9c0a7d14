"""Order, completeness and causes: what the envelopes of all events must say together."""

from services.kernel.events import AnyEvent, Recovered, topics
from services.proof.validation.findings import Findings, Rule


class EnvelopeCheck:
    """Looks at every event's place and cause.

    Args:
        needed: Ids that events name as their causes, collected before.
        from_beginning: The first event is the first that was ever published.
        findings: Where to report.

    Attributes:
        seq_of: Place of every needed event, as far as it was seen.
    """

    def __init__(self, needed: set[str], findings: Findings, *, from_beginning: bool) -> None:
        self.seq_of: dict[str, int] = {}
        self._needed = needed
        self._findings = findings
        self._seq = 0
        self._hole = range(0)
        self._topic_seqs: dict[str, int] = dict.fromkeys(topics.TOPICS, 0) if from_beginning else {}
        self._unexplained: list[tuple[str, int, str]] = []

    def see(self, event: AnyEvent) -> None:
        """Take the next event of any topic."""
        if event.seq <= self._seq:
            message = f"seq {event.seq} follows {self._seq}: a row was moved or its text changed"
            self._findings.add(Rule.ORDER, event.seq, event.event_id, message)
        elif event.seq > self._seq + 1 and self._seq:
            self._hole = range(self._seq + 1, event.seq)
        self._seq = event.seq
        self._see_topic(event)
        event_id = event.event_id
        if event_id in self._needed:
            self.seq_of.setdefault(event_id, event.seq)
        cause = event.causation_id
        if cause is not None and cause not in self.seq_of:
            self._unexplained.append((event_id, event.seq, cause))
        if isinstance(event, Recovered):
            # What was lost is named; the numbers begin again behind it.
            self._topic_seqs.clear()

    def finish(self, first_seq: int) -> None:
        """All were seen.

        Args:
            first_seq: Where the checked part begins; causes before it are not here.
        """
        for event_id, seq, cause in self._unexplained:
            where = self.seq_of.get(cause)
            if where is None and first_seq > 1 and seq == first_seq:
                continue
            detail = "is not recorded" if where is None else f"comes later, at {where}"
            message = f"its cause {cause} {detail}"
            self._findings.add(Rule.CAUSATION, seq, event_id, message)

    def _see_topic(self, event: AnyEvent) -> None:
        last = self._topic_seqs.get(event.TOPIC)
        if last is not None and event.topic_seq != last + 1:
            message = (
                f"{event.TOPIC} goes from number {last} to {event.topic_seq}:"
                f" rows are missing, were moved, or came twice{self._named_hole()}"
            )
            self._findings.add(Rule.COMPLETE, event.seq, event.event_id, message)
        self._topic_seqs[event.TOPIC] = event.topic_seq

    def _named_hole(self) -> str:
        """The last seqs that were passed over, once."""
        hole, self._hole = self._hole, range(0)
        if not hole:
            return ""
        if len(hole) == 1:
            return f"; row {hole[0]} is not in its place"
        return f"; rows {hole[0]} to {hole[-1]} are not in their places"
