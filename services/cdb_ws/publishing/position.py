"""How far the market data has been published: kept on the bus with each publication."""

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a restarted service needs to go on without loss and without duplicates.

    Attributes:
        run_id: The run it belongs to; a new run begins anew.
        cursor: Of a recorded source: the step that was published last.
        ticks: Market data events published in this run.
        began: Timestamp of the run's first clock; 0 before it.
        clock: Timestamp of the last clock; 0 before the first.
        ended: The source has ended and has said so.
        behind: The bus lost the position: a recorded source goes on behind its event with this id.
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
    """A position as the bus keeps it."""
    return _encoder.encode(position).decode()


def load(kept: str | None, run_id: str) -> Position:
    """The position of a run: what was kept if it is this run's, else the beginning."""
    if kept:
        try:
            position = _decoder.decode(kept)
        except msgspec.DecodeError:
            return Position(run_id=run_id)  # of an older version: its run is over
        if position.run_id == run_id:
            return position
    return Position(run_id=run_id)
