"""Small generated markets as files: trends, calm, a gap over a stop."""

from pathlib import Path
from random import Random

MINUTE_MS = 60_000
START_MS = 1_735_689_600_000
"""2025-01-01 00:00 UTC."""


def bars_file(
    folder: Path,
    symbol: str = "BTCUSDT",
    *,
    seed: int = 1,
    minutes: int = 240,
    gaps: dict[int, float] | None = None,
    thin: bool = False,
) -> Path:
    """Minute bars whose trends are long enough to be entered and left.

    ``gaps``: minute to the fraction by which it opens away from the close before. ``thin``: so
    little is traded that positions are filled and closed in parts.
    """
    random = Random(f"{symbol} {seed}")  # noqa: S311 - a market, not a secret
    path = folder / f"test-spot_{symbol}_klines_1m.csv"
    lines, price, drift, ends = ["ts_ms,open,high,low,close,volume"], 10_000.0, 0.0, 20
    for minute in range(minutes):
        if minute == ends:
            drift = random.choice((-40.0, 0.0, 0.0, 40.0))
            ends += random.randint(6, 20)
        opened = price * (1 + (gaps or {}).get(minute, 0))
        price = max(100.0, opened + drift + random.gauss(0, 8))
        high = max(opened, price) + abs(random.gauss(0, 4))
        low = min(opened, price) - abs(random.gauss(0, 4))
        at = START_MS + minute * MINUTE_MS
        volume = (50 + random.random() * 900) * (0.002 if thin else 1)
        lines.append(f"{at},{opened:.1f},{high:.1f},{low:.1f},{price:.1f},{volume:.3f}")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
