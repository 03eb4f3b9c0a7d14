"""The benchmark's market: 20 symbols whose prices make a signal every 500 ticks, and no other.

Each symbol's price steps up and down by twice the threshold, once in 20 cycles of 1,000 ticks. A
step is an entry signal; `LOOKBACK_MINUTES` (1) later the step has left the window, and that is the
exit signal. The cycle is chosen so that exits fall midway between entries, and that there are fewer
than 1,000 entries an hour of event time.
"""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Final

SYMBOLS: Final = 20
TICKS_PER_CYCLE: Final = 1_000
CYCLE_MS: Final = 60_000 * 2 / 31
"""15.5 cycles fill the window of 60 s."""
TICKS_PER_SECOND: Final = TICKS_PER_CYCLE * 1000 / CYCLE_MS
"""Event time: about 258 ticks a second."""
WARM_UP_MS: Final = 70_000
WARM_UP_STEP_MS: Final = 5_000
START_MS: Final = 1_735_689_600_000
LOW: Final = Decimal("100.00")
HIGH: Final = Decimal("100.10")

SETTINGS: Final = {
    "LOOKBACK_MINUTES": "1",
    "SIGNAL_THRESHOLD_PCT": "0.0005",
    "SIGNAL_COOLDOWN_SEC": "0",
    "MAX_TRADES_PER_HOUR": "1000",
    "LOSS_COOLDOWN_SEC": "0",
    "MAX_SIGNAL_AGE_SEC": "60",
    "DATA_STALE_TIMEOUT_SEC": "120",
    "RISK_PER_TRADE_PCT": "0.0005",
    "STOP_LOSS_PCT": "0.10",
    "SIM_LATENCY_MS": "0",
}
"""No limit binds: 16 positions of half a percent of equity, stops far away."""


def write(folder: Path, ticks: int) -> tuple[Path, ...]:
    """Write one file of trades per symbol.

    Args:
        folder: Exists.
        ticks: Over all symbols, warm-up not counted.
    """
    paths = tuple(folder / f"bench-spot_S{number:02d}USDT_trades.csv" for number in range(SYMBOLS))
    for number, path in enumerate(paths):
        with path.open("w", encoding="ascii", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("ts_ms", "price", "qty", "side"))
            for warm_up in range(0, WARM_UP_MS, WARM_UP_STEP_MS):
                rows.writerow((START_MS + warm_up + number, LOW, "1000", "buy"))
            for index in range(number, ticks, SYMBOLS):
                at = START_MS + WARM_UP_MS + int(index * CYCLE_MS / TICKS_PER_CYCLE)
                rows.writerow((at, _price(number, index), "1000", "buy"))
    return paths


def warm_up_ticks() -> int:
    """Ticks before the first that may make a signal."""
    return SYMBOLS * len(range(0, WARM_UP_MS, WARM_UP_STEP_MS))


def _price(symbol: int, index: int) -> Decimal:
    """High and low in turn, changed in the symbol's own cycle of every 20."""
    cycle = index // TICKS_PER_CYCLE
    changes = (cycle - symbol) // SYMBOLS + 1
    return HIGH if changes % 2 else LOW
