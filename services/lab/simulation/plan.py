"""What a seed decides: the market, the settings, and which faults come when."""

from random import Random
from typing import Final, NamedTuple

from services.kernel.events import topics

SYMBOLS: Final = ("BTC_USDT", "ETH_USDT", "SOL_USDT", "XRP_USDT")
EVENT_TIME_S: Final = 600
KILL: Final = "kill"
KILL_AT_CALL: Final = "kill_between_calls"
SECOND: Final = "second_instance"
PAUSE: Final = "paused_process"
DROP: Final = "slow_subscriber_dropped"
BUS_RESTART: Final = "bus_restarted"
BUS_LESS: Final = "bus_restarted_with_less"
BUS_FULL: Final = "bus_memory_full"
BUS_BEFORE: Final = "bus_away_before_effect"
BUS_ANSWER: Final = "bus_answer_lost"
BUS_SLOW: Final = "bus_slow"
COMMIT_LOST: Final = "commit_not_made"
COMMIT_UNKNOWN: Final = "commit_outcome_unknown"
DATABASE_RESTART: Final = "database_restarted"
DISK_FULL: Final = "database_disk_full"
COMMAND: Final = "operator_command"
PROCESS_FAULTS: Final = (SECOND, PAUSE, DROP, BUS_BEFORE, BUS_ANSWER, BUS_SLOW)
SERVER_FAULTS: Final = (BUS_RESTART, BUS_LESS, BUS_FULL, DATABASE_RESTART, DISK_FULL, COMMAND)
WRITING: Final = (topics.DB_WRITER, topics.EXECUTION)
KINDS: Final = (KILL, KILL_AT_CALL, *PROCESS_FAULTS, COMMIT_LOST, COMMIT_UNKNOWN, *SERVER_FAULTS)


class Fault(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        at: Virtual seconds after the start.
        kind: See the constants of this module.
        service: Whom it strikes; empty for a server.
        size: Between 0 and 1: how long, how many calls, how much.
    """

    at: float
    kind: str
    service: str
    size: float


class Plan(NamedTuple):
    """A whole simulation.

    Attributes:
        settings: Variables of all services.
        latency_s: Mean seconds of half a port call.
        faults: In the order of time.
    """

    seed: int
    settings: dict[str, str]
    latency_s: float
    faults: tuple[Fault, ...]

    @property
    def is_lockstep(self) -> bool:
        """Whether the market waits for the stages."""
        return self.settings["CDB_SPEED"] == "max"


def plan_of(seed: int, kinds: tuple[str, ...] = KINDS) -> Plan:
    """The plan of a seed.

    Args:
        seed: Any number.
        kinds: Which faults may come; none of them for a quiet day.
    """
    chance = Random(f"plan {seed}")  # noqa: S311 - a simulation repeats
    speed = chance.choice(("max", "max", "20", "30", "45"))
    settings = {
        "TRADING_MODE": "paper",
        "CDB_SOURCE": "synthetic",
        "CDB_SPEED": speed,
        "CDB_SEED": str(seed),
        "CDB_DURATION": str(EVENT_TIME_S),
        "LOOKBACK_MINUTES": "1",
        "SIGNAL_THRESHOLD_PCT": chance.choice(("0.0005", "0.001", "0.0015")),
        "SYMBOL_WHITELIST": ",".join(chance.sample(SYMBOLS, 3)),
        "SNAPSHOT_INTERVAL_SEC": "1",
    }
    latency_s = chance.choice((0.0001, 0.0003, 0.001))
    last = 20.0 if speed == "max" else EVENT_TIME_S / float(speed)
    faults = [_fault(chance, last, kinds) for _ in range(chance.randint(2, 6))] if kinds else []
    if kinds == KINDS:
        faults += [
            Fault(chance.uniform(1, last), chance.choice((KILL, KILL_AT_CALL)), name, size)
            for name in chance.sample(topics.SERVICES, 2)
            for size in (chance.random(),)
        ]
    return Plan(seed, settings, latency_s, tuple(sorted(faults)))


def _fault(chance: Random, last: float, kinds: tuple[str, ...]) -> Fault:
    kind = chance.choice(kinds)
    service = ""
    if kind in (COMMIT_LOST, COMMIT_UNKNOWN):
        service = chance.choice(WRITING)
    elif kind not in SERVER_FAULTS:
        service = chance.choice(topics.SERVICES)
    return Fault(chance.uniform(0.5, last), kind, service, chance.random())
