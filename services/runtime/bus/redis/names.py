"""Keys and channels of the bus on the server."""

from typing import Final

EPOCH_KEY: Final = "cdb:epoch"
COUNTERS_KEY: Final = "cdb:counters"
LEFT_OUT_KEY: Final = "cdb:left_out"
"""First and last of seqs that no event has; only a recovery writes it."""
VERIFIED_KEY: Final = "cdb:verified"
"""The life of the server that was compared with the database."""
SWITCH_KEY: Final = "cdb:lockstep"
"""1 while a lock-step run is on."""
PROGRESS_CHANNEL: Final = "cdb:lockstep"
TURN_CHANNEL: Final = "cdb:turn"
