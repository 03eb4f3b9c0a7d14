"""What the signal stage makes of a market, beside what the oracle says that it must make."""

import gzip
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from services.cdb_ws.sources.replay import Replay
from services.kernel.events import Event, Signal
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.oracles import momentum, recorded_files
from tests.oracles.momentum import OracleSignal, Rules


def made(events: Iterable[Event], settings: dict[str, str]) -> Iterator[Signal]:
    """The stage's signals."""
    stage = SignalStage()
    stage.handle(builders.run_started(settings))
    for event in events:
        yield from builders.of_type(stage.handle(event), Signal)


def differences(ours: list[Signal], theirs: list[OracleSignal]) -> list[str]:
    """Where the stage's signals are not those of the oracle."""
    found = [
        f"{number}: {_shown(signal)} is not {wanted}"
        for number, (signal, wanted) in enumerate(zip(ours, theirs, strict=False))
        if not _agree(signal, wanted)
    ]
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} signals, {len(theirs)} of the oracle")
    return found


def settings_of(rules: Rules) -> dict[str, str]:
    """The oracle's rules as settings of a run."""
    return {
        "LOOKBACK_MINUTES": str(rules.lookback_ms // 60_000),
        "SIGNAL_THRESHOLD_PCT": str(rules.threshold),
        "DATA_STALE_TIMEOUT_SEC": str(rules.stale_ms // 1000),
        "MAX_PRICE_JUMP_PCT": str(rules.max_jump),
        "SIGNAL_COOLDOWN_SEC": str(rules.cooldown_ms // 1000),
        "VOLUME_FLOOR": str(rules.volume_floor),
    }


def of_file(
    path: Path, rules: Rules, instruments: Path | None = None
) -> tuple[list[Signal], list[OracleSignal]]:
    """Both sets of signals of a recorded file."""
    events = (event for _, event in Replay([path], "run", instruments).steps())
    ours = list(made(events, settings_of(rules)))
    return ours, list(momentum.signals(recorded_files.observations(path), rules))


def beginning_of(path: Path, folder: Path, rows: int) -> Path:
    """A copy of a compressed file's head and first rows, under the same name."""
    copy = folder / path.name
    with gzip.open(path, "rt") as file, gzip.open(copy, "wt", compresslevel=1) as first:
        first.writelines(islice(file, rows + 1))
    return copy


def _agree(signal: Signal, wanted: OracleSignal) -> bool:
    late = signal.timestamp - wanted.known_at
    return _shown(signal) == wanted[:4] and (late >= 0 if wanted.by_time else late == 0)


def _shown(signal: Signal) -> tuple[object, ...]:
    reference = signal.indicators["reference_price"]
    return signal.direction.value, signal.reduce_only, signal.price, reference
