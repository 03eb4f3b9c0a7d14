"""Snapshots: a stage's state at one seq, so that a restart need not read from the beginning.

A stage that cannot use its snapshot asks ``cdb_db_writer`` for one that is made again from the
record; it does so in the field ``wanted`` of the hash that holds the snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from services.runtime.bus.bus import Bus


class SnapshotCorrupt(Exception):
    """A snapshot is not what was saved."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stage's state.

    Attributes:
        service: Whose.
        state: What the stage's ``snapshot`` returned.
        cursor: Seq of the last input in it.
        epoch: Of the total order that ``cursor`` belongs to.
        context: What the loop around the stage remembers, as JSON.
    """

    service: str
    state: bytes
    cursor: int
    epoch: str
    context: bytes = b"{}"

    @property
    def checksum(self) -> str:
        """SHA-256 over everything else."""
        digest = sha256(f"{self.service}\n{self.cursor}\n{self.epoch}\n".encode())
        digest.update(self.context + b"\n" + self.state)
        return digest.hexdigest()

    def fields(self) -> dict[str, bytes | str | int]:
        """The fields of the hash that holds it."""
        return {
            "state": self.state,
            "cursor": self.cursor,
            "epoch": self.epoch,
            "context": self.context,
            "checksum": self.checksum,
            "wanted": "",
        }


def save(bus: Bus, state: bytes, cursor: int, context: bytes = b"{}") -> Snapshot:
    """Save this service's snapshot.

    Args:
        bus: Claimed.
        state: The stage's state after the input at ``cursor``.
        cursor: An acknowledged input.
        context: JSON of what the loop remembers.

    Raises:
        Refused: Another instance took over, or saved a newer one.
    """
    claim = bus.own_claim()
    snapshot = Snapshot(bus.service, state, cursor, claim.epoch, context)
    pairs = [part for pair in snapshot.fields().items() for part in pair]
    place = (bus.service, claim.epoch, claim.instance, cursor)
    bus.run(("FCALL", "cdb_snapshot", 0, *place, *pairs))
    return snapshot


def load(bus: Bus, service: str | None = None) -> Snapshot | None:
    """The last snapshot of a service (default: this one); None if there is none.

    Raises:
        SnapshotCorrupt: It is not what was saved.
    """
    name = service or bus.service
    state, cursor, epoch, context, checksum = bus.run(
        ("HMGET", _key(name), "state", "cursor", "epoch", "context", "checksum")
    )[0]
    if state is None:
        return None
    try:
        snapshot = Snapshot(name, state, int(cursor), epoch.decode(), context)
        intact = snapshot.checksum.encode() == checksum
    except (TypeError, ValueError, AttributeError):  # a field is missing, or no number, or no text
        intact = False
    if not intact:
        raise SnapshotCorrupt(f"the snapshot of {name} is damaged: its checksum does not match")
    return snapshot


def discard(bus: Bus, after: int) -> None:
    """Use this service's snapshot no more, and keep the journal behind a seq for it.

    Args:
        bus: Claimed.
        after: Seq from which on the service reads.
    """
    bus.run(("HSET", _key(bus.service), "cursor", after, "wanted", ""))


def ask(bus: Bus, why: str, after: int) -> bool:
    """Ask for this service's snapshot, made again from the record.

    Args:
        bus: Claimed.
        why: Not empty.
        after: The journal behind this seq is kept meanwhile.

    Returns:
        False where it was asked for before, and nothing was written.
    """
    if asked(bus, [bus.service]):
        return False
    bus.run(("HSET", _key(bus.service), "cursor", after, "wanted", why))
    return True


def asked(bus: Bus, services: Sequence[str]) -> list[str]:
    """Those services that asked for their snapshots."""
    replies = bus.run(*[("HGET", _key(name), "wanted") for name in services])
    return [name for name, wanted in zip(services, replies, strict=True) if wanted]


def _key(service: str) -> str:
    return f"cdb:snapshot:{service}"
