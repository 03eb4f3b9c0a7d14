"""Momentum against an independent oracle: recorded files, and random markets."""

import json
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import Event
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import BTC, NOON
from tests.oracles import momentum
from tests.oracles.momentum import Observation, OracleSignal, Rules
from tests.unit.kernel.strategies.signals_made import (
    beginning_of,
    differences,
    made,
    of_file,
    settings_of,
)

pytestmark = [pytest.mark.unit, pytest.mark.signal]

DATA = os.environ.get("CDB_TEST_DATA")
ROWS = 500
"""So many of each file here; `tests/local` takes all of them."""
QUICK = Rules(lookback_ms=60_000, threshold=Decimal("0.0005"), cooldown_ms=5_000)
FILES = [
    path
    for path in sorted(Path(DATA).glob("*.csv.gz") if DATA else ())
    if "_trades" in path.name or "_klines_" in path.name
]
MEXC_CONTRACTS = ("DOT_USDT", "HYPE_USDT", "PEPE_USDT", "SUI_USDT")


def test_the_oracle_imports_nothing_of_the_program() -> None:
    sources = [path.read_text() for path in Path(momentum.__file__).parent.glob("*.py")]

    assert sources
    assert not any(re.search(r"^\s*(from|import) services", text, re.M) for text in sources)


def test_the_oracle_knows_the_default_settings() -> None:
    plain = TradingSettings.parse({})[0]

    assert TradingSettings.parse(settings_of(Rules()))[0] == plain


@pytest.mark.skipif(not DATA, reason="CDB_TEST_DATA does not name a folder of recorded data")
@pytest.mark.parametrize("rules", [Rules(), QUICK], ids=["default", "quick"])
def test_recorded_files_make_the_oracle_s_signals(rules: Rules, tmp_path: Path) -> None:
    contracts = tmp_path / "contracts.json"
    contracts.write_text(
        json.dumps([{"symbol": symbol, "contract_size": "1"} for symbol in MEXC_CONTRACTS])
    )
    signals = 0
    for path in FILES:
        ours, theirs = of_file(beginning_of(path, tmp_path, ROWS), rules, contracts)
        assert differences(ours, theirs) == [], path.name
        signals += len(theirs)
    assert signals > 100


# Random markets

moves = st.one_of(
    st.sampled_from([0, 0, 1, -1, 2, -2, 5, -5]),
    st.sampled_from([20, -20, 49, -48, 50, -50, 51, -51, 60, -60, 200, -170, 1000, -600]),
)
"""A trade's price against the one before it, in thousandths."""
pauses = st.sampled_from(
    [0, 1, 250, 999, 1000, 2999, 3000, 4000, 5000, 15_000, 20_000, 30_000, 30_001, 61_000, 200_000]
)
kinds = st.sampled_from(["trade"] * 9 + ["back"] * 4 + ["quote", "mark", "clock", "backfill"])
"""``back`` is a trade where the market was before its last move."""
steps = st.lists(st.tuples(kinds, moves, pauses), min_size=20, max_size=150)


def market(drawn: list[tuple[str, int, int]]) -> Iterator[Observation]:
    """What happens, in the order of time; a quote or mark is near the last trade's price."""
    now, price, before = NOON, Decimal(1000), Decimal(1000)
    for kind, move, pause in drawn:
        now += pause
        moved = (price * (1000 + move) / 1000).quantize(Decimal("0.01"))
        if kind in ("quote", "mark", "clock"):
            half = Decimal(abs(move) % 3)
            yield Observation(kind, now, moved, bid=moved - half, ask=moved + half)
            continue
        before, price = price, before if kind == "back" else moved
        yield Observation("trade", now, price, Decimal(pause % 7), backfill=kind == "backfill")


def event(seen: Observation) -> Event:
    match seen.kind:
        case "clock":
            return builders.clock(seen.at)
        case "mark":
            return builders.mark(BTC, seen.price, seen.at)
        case "quote":
            return builders.quote(BTC, seen.bid, seen.ask, seen.at)
        case _:
            return builders.trade(BTC, seen.price, seen.at, seen.volume, backfill=seen.backfill)


rules = st.builds(
    Rules,
    lookback_ms=st.sampled_from([60_000, 120_000]),
    threshold=st.sampled_from([Decimal("0.001"), Decimal("0.005"), Decimal("0.05")]),
    stale_ms=st.sampled_from([10_000, 30_000, 60_000]),
    max_jump=st.sampled_from([Decimal("0.05"), Decimal("0.02"), Decimal("0.3")]),
    cooldown_ms=st.sampled_from([0, 5_000, 60_000]),
    volume_floor=st.sampled_from([Decimal(0), Decimal(20_000)]),
)


@given(drawn=steps, rules=rules)
def test_random_markets_make_the_oracle_s_signals(
    drawn: list[tuple[str, int, int]], rules: Rules
) -> None:
    observations = list(market(drawn))

    ours = list(made(map(event, observations), settings_of(rules)))

    theirs = list(momentum.signals(observations, rules))
    assert differences(ours, theirs) == []
    values = [signal.indicators["window_value"] for signal in ours]
    assert values == [signal.value for signal in theirs]


def test_the_random_markets_show_what_they_are_meant_to() -> None:
    """Entries and exits, prints confirmed by a trade, by a quote and by time, and voided ones."""
    shown: set[str] = set()

    @settings(max_examples=60, database=None, derandomize=True)
    @given(drawn=steps, rules=rules)
    def look(drawn: list[tuple[str, int, int]], rules: Rules) -> None:
        confirmation, decided = momentum.Confirmation(rules), momentum.Momentum(rules)
        for seen in market(drawn):
            for trade in confirmation.take(seen):
                if trade.voided or trade.by_time:
                    shown.add("voided" if trade.voided else "by time")
                elif trade.at != trade.known_at:
                    shown.add(f"by a {seen.kind}")
                signal: OracleSignal | None = decided.take(trade)
                if signal is not None:
                    shown.add("exit" if signal.is_exit else "entry")

    look()
    assert shown >= {"entry", "exit", "voided", "by time", "by a trade", "by a quote"}
