"""The bus: publish into the one total order, exactly once, whatever breaks in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.events import RunStarted, topics
from services.runtime import host
from services.runtime.bus.encoded import Outgoing, unpublished_body
from services.runtime.bus.records import Claim, Cursor, Heads, Published, Refused, is_lockstep
from services.runtime.bus.redis import functions
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import (
    Argument,
    Connection,
    ConnectionLost,
    ReplyError,
    Unavailable,
    pack,
)
from services.runtime.bus.redis.names import VERIFIED_KEY

__all__ = [
    "Bus",
    "Claim",
    "Cursor",
    "Heads",
    "Published",
    "Refused",
    "ReplyError",
    "Unavailable",
]

CHUNK = 500
_TICKET = 6
"""Place of the publication's number in its command."""
_FUNCTION_CALLS = frozenset({"FCALL", "FCALL_RO"})
_CONTRADICTED = "waiting for cdb_db_writer: cdb:counters is not what the journals say"


@dataclass(slots=True)
class _Publication:
    """A publication on its way: what is sent, and how much of it is known to have arrived."""

    identity: tuple[object, ...]
    commands: list[list[Argument]]
    events: Sequence[Outgoing]
    done: int = 0
    uncertain: bool = False
    first_seq: int = 0
    last_seq: int = 0
    head: int = 0


class Bus:
    """One service's access to the bus; may be used by several threads.

    Nothing connects before the first call. After ``Unavailable`` every method may simply be called
    again; it reconnects.

    Args:
        address: Server and user.
        service: The service's name; also names its journal, cursor and snapshot.

    Attributes:
        on_published: Called with events that were published, by the thread that published them.
    """

    def __init__(self, address: RedisAddress, service: str) -> None:
        self.address = address
        self.service = service
        self.claimed: Claim | None = None
        self.last_published = 0
        self.reconnects = 0
        self.on_published: Callable[[Sequence[Outgoing]], None] = lambda _: None
        self._lock = host.lock()
        self._connection: Connection | None = None
        self._ticket = 0
        self._unsettled: _Publication | None = None

    # -- place -------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, if not connected.

        Raises:
            Unavailable: The server is away, has other functions than this program, or was
                restarted and ``cdb_db_writer`` has not yet compared it with the database.
            ReplyError: User or password are wrong.
        """
        with self._lock:
            if self._connection is None:
                connection = self.address.connect(self.service)
                try:
                    self._require_open(connection)
                except BaseException:
                    connection.close()
                    raise
                self._connection = connection
                self.reconnects += 1

    def claim(self) -> Claim:
        """Take this service's place; whoever had it before can publish no more.

        Raises:
            Unavailable: As ``connect``, or no epoch has begun.
        """
        with self._lock:
            self._unsettled = None
            instance, epoch, cursor, position, shell_id = self.run(
                ("FCALL", "cdb_claim", 0, self.service)
            )[0]
            if epoch is None:
                raise Unavailable("the bus has no epoch yet: cdb_db_writer has not opened it")
            self.claimed = Claim(
                epoch.decode(),
                int(instance),
                int(cursor),
                position and position.decode(),
                shell_id and shell_id.decode(),
            )
            self._ticket = 0
            return self.claimed

    def close(self) -> None:
        """Disconnect; harmless when not connected."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- publish -----------------------------------------------------------------------------

    def publish(
        self,
        events: Sequence[Outgoing],
        *,
        cursor: int | None = None,
        position: str | None = None,
        shell_id: str | None = None,
    ) -> Published:
        """Publish events, in order, and note how far the service has come: both or neither.

        With a cursor, a position or a ``shell_id`` everything is one step; without them, each 500
        events are. A publication that ``Unavailable`` interrupted may have happened: call again
        with the same arguments and it exists once. Any other publication finishes it first.

        Args:
            events: Events with ``seq`` 0.
            cursor: Seq of the input that caused them; alone it acknowledges the input.
            position: The source's own place after these events.
            shell_id: Id of what a shell made; a second publication with the same one in a row
                does nothing.

        Raises:
            Unavailable: The bus is away or full; try again with back-off.
            Refused: See ``Refused.reason``; nothing was published.
        """
        with self._lock:
            identity = (tuple(event.event_id for event in events), cursor, position, shell_id)
            if self._unsettled is not None:
                unsettled = self._unsettled
                published = self._settle(unsettled)
                if unsettled.identity == identity:
                    return published
            return self._settle(self._prepare(events, identity, cursor, position, shell_id))

    def post(self, topic: str, body: bytes | str) -> int:
        """Send a message from outside: it has no seq until the topic's owner publishes it.

        Returns:
            How many subscribers received it.
        """
        receivers: int = self.run(("PUBLISH", topic, body))[0]
        return receivers

    # -- read --------------------------------------------------------------------------------

    def head(self) -> int:
        """The last seq of the total order; 0 when it is empty."""
        return self.heads().seq

    def heads(self) -> Heads:
        """How far the total order and each topic have come, in one step.

        Raises:
            Unavailable: The bus is away, or its counters are not what the journals say.
        """
        reply = self.run(("FCALL_RO", "cdb_heads", 0))[0]
        try:
            return Heads.read(reply)
        except ValueError as error:
            raise Unavailable(f"{_CONTRADICTED} ({error})") from error

    def cursor_of(self, service: str) -> Cursor:
        """How far a service has come."""
        seq, commit, position, epoch = self.run(
            ("HMGET", f"cdb:cursor:{service}", "seq", "commit", "position", "epoch")
        )[0]
        return Cursor(
            seq=int(seq or 0),
            commit=int(commit) if commit is not None else None,
            position=position and position.decode(),
            epoch=epoch and epoch.decode(),
        )

    def memory_used(self) -> float:
        """Fraction of the server's memory limit that is in use; 0 without a limit."""
        lines = self.run(("INFO", "memory"))[0].decode().splitlines()
        figures = dict(line.split(":", 1) for line in lines if ":" in line)
        limit = int(figures.get("maxmemory", 0))
        return int(figures["used_memory"]) / limit if limit else 0.0

    # -- plumbing for the other modules of the bus -------------------------------------------

    def open_connection(self, purpose: str) -> Connection:
        """A further connection as the same user, for what blocks."""
        return self.address.connect(f"{self.service}-{purpose}")

    def run(self, *commands: Sequence[Argument]) -> list[Any]:
        """Run commands in one round trip, on the bus's own connection.

        Returns:
            Their replies; those of the library's functions without the leading ``OK``.

        Raises:
            Refused: A function answered with a refusal.
            Unavailable: The bus is away, or its counters are not what the journals say:
                ``cdb_db_writer`` heals them.
        """
        with self._lock:
            self.connect()
            assert self._connection is not None
            try:
                replies = self._connection.pipeline([pack(*command) for command in commands])
            except ConnectionLost:
                self.close()
                raise
        return [
            _unless_refused(reply) if command[0] in _FUNCTION_CALLS else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    def own_claim(self) -> Claim:
        """This service's claim.

        Raises:
            RuntimeError: ``claim`` was not called.
        """
        if self.claimed is None:
            raise RuntimeError(f"{self.service} must claim its place before it writes to the bus")
        return self.claimed

    # -- inside ------------------------------------------------------------------------------

    def _prepare(
        self,
        events: Sequence[Outgoing],
        identity: tuple[object, ...],
        cursor: int | None,
        position: str | None,
        shell_id: str | None,
    ) -> _Publication:
        claim = self.own_claim()
        whole = cursor is not None or position is not None or shell_id is not None
        size = max(1, len(events)) if whole else CHUNK
        publication = _Publication(identity, [], events)
        for number, start in enumerate(range(0, max(1, len(events)), size), self._ticket + 1):
            chunk = events[start : start + size]
            # Only ticks are held back when memory is full; what they cause is bounded by them.
            ticks = any(event.TOPIC == topics.MARKET_DATA for event in chunk)
            command: list[Argument] = [
                "FCALL",
                "cdb_publish_ticks" if ticks else "cdb_publish",
                0,
                self.service,
                claim.epoch,
                claim.instance,
                number,
                "" if cursor is None else cursor,
                position or "",
                shell_id or "",
                _lockstep_switch(chunk),
            ]
            for event in chunk:
                command += (event.TOPIC, unpublished_body(event)[:-1])
            publication.commands.append(command)
        return publication

    def _settle(self, publication: _Publication) -> Published:
        self._unsettled = publication
        try:
            for command in publication.commands[publication.done :]:
                first, last, head = self.run(command)[0]
                publication.first_seq = publication.first_seq or int(first)
                publication.last_seq = int(last) or publication.last_seq
                publication.head = int(head)
                publication.done += 1
                # Counted when they are known to be there: a gap means that Redis lost some.
                self._ticket = int(command[_TICKET])
        except ConnectionLost:
            publication.uncertain = True  # it may have happened: finish it before anything else
            raise
        except Unavailable:
            if not publication.uncertain and publication.done == 0:
                self._unsettled = None  # it did not happen
            raise
        except BaseException:
            self._unsettled = None
            raise
        self._unsettled = None
        self.last_published = publication.last_seq or self.last_published
        self.on_published(publication.events)
        return Published(publication.first_seq, publication.last_seq, publication.head)

    def _require_open(self, connection: Connection) -> None:
        if self.service not in topics.SERVICES:
            return  # who only looks may look
        functions.require(connection, str(self.address))
        info, verified = connection.pipeline([pack("INFO", "server"), pack("GET", VERIFIED_KEY)])
        if verified != server_life(info):
            raise Unavailable(
                f"Redis at {self.address} was restarted: waiting for cdb_db_writer to compare it"
                " with the database"
            )


def _unless_refused(reply: list[Any]) -> list[Any]:
    if reply[0] == b"OK":
        return reply[1:]
    reason, detail = reply[0].decode(), reply[1].decode()
    if reason == "COUNTERS":
        raise Unavailable(f"{_CONTRADICTED} ({detail})")
    raise Refused(reason, detail)


def server_life(info: bytes) -> bytes:
    """Identity of one life of a server process, from ``INFO server``."""
    for line in info.splitlines():
        if line.startswith(b"run_id:"):
            return line.removeprefix(b"run_id:").strip()
    raise ReplyError("INFO server has no run_id: is this Redis 7 or Valkey?")


def _lockstep_switch(events: Sequence[Outgoing]) -> str:
    for event in events:
        if isinstance(event, RunStarted):
            return "1" if is_lockstep(event) else "0"
    return ""
