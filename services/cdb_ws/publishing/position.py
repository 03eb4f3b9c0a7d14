"""The position up to which market data is published; the bus keeps it with each publication."""

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a restarted service needs to continue without loss and without duplicates.

    Attributes:
        run_id: The run of the position; a new run starts from the beginning.
        cursor: Of a recorded source: the last published step.
        ticks: Market data events published in this run.
        began: Timestamp of the run's first clock; 0 before it.
        clock: Timestamp of the last clock; 0 before the first.
        ended: Whether the end of the source was published.
        behind: The bus lost the position: a recorded source continues after the event with this id.
    """

    run_id: str
    cursor: int = 0
    ticks: int = 0
    began: int = 0
    clock: int = 0
    ended: bool = False
    behind: str = ""


_decoder = Decoder(Position)
_encoder = msgspec.json.Encoder()


def dump(position: Position) -> str:
    """A position as stored on the bus."""
    return _encoder.encode(position).decode()


def load(kept: str | None, run_id: str) -> Position:
    """The stored position if it belongs to this run; otherwise the beginning."""
    if kept:
        try:
            position = _decoder.decode(kept)
        except msgspec.DecodeError:
            return Position(run_id=run_id)  # of an older version: its run is over
        if position.run_id == run_id:
            return position
    return Position(run_id=run_id)
