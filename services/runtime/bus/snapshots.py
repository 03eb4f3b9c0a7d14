"""Snapshots: a stage's state at one seq, so that a restart need not read from the beginning."""

from dataclasses import dataclass
from hashlib import sha256

from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.scripts import script


class SnapshotCorrupt(Exception):
    """A snapshot's checksum does not match what it holds."""


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
    bus.run_guarded(
        script("snapshot", allow_oom=True),
        bus.service,
        claim.epoch,
        claim.instance,
        cursor,
        *pairs,
    )
    return snapshot


def load(bus: Bus, service: str | None = None) -> Snapshot | None:
    """The last snapshot of a service (default: this one); None if there is none.

    Raises:
        SnapshotCorrupt: It is not what was saved.
    """
    name = service or bus.service
    state, cursor, epoch, context, checksum = bus.execute(
        "HMGET", f"cdb:snapshot:{name}", "state", "cursor", "epoch", "context", "checksum"
    )
    if state is None:
        return None
    snapshot = Snapshot(name, state, int(cursor), epoch.decode(), context or b"{}")
    if snapshot.checksum.encode() != checksum:
        raise SnapshotCorrupt(
            f"snapshot of {name} at {snapshot.cursor}: checksum is not {snapshot.checksum};"
            f" delete the key cdb:snapshot:{name} to rebuild from the journal"
        )
    return snapshot
