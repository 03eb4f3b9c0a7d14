"""What the notes of a result say of its data."""

import pytest

from services.kernel.events import MarketDataKind
from services.kernel.settings.model import TradingSettings
from services.reports.data_notes import SymbolData, notes_of

pytestmark = pytest.mark.unit

EVERY_KIND = frozenset(MarketDataKind)
END = 1_767_614_400_000
HOUR_MS = 3_600_000


def settings(**values: str) -> TradingSettings:
    return TradingSettings.parse(values)[0]


def data(
    symbol: str = "BTC_USDT",
    *,
    without: tuple[str, ...] = (),
    newest: int = END,
    gap: int | None = None,
) -> SymbolData:
    return SymbolData(symbol, EVERY_KIND - set(without), newest, gap)


def test_data_with_everything_needs_no_note() -> None:
    assert notes_of([data()], settings()) == ()
    assert notes_of([], settings()) == ()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (("trade",), "no trades"),
        (("mark",), "no mark prices: positions, stops and liquidation use the last trade"),
        (("funding",), "no funding rates: no funding is booked"),
        (("quote", "depth"), "half the spread is SIM_HALF_SPREAD_PCT=0.0003"),
    ],
)
def test_what_is_missing_is_named_with_what_stands_for_it(
    without: tuple[str, ...], said: str
) -> None:
    (note,) = notes_of([data(without=without)], settings(SIM_HALF_SPREAD_PCT="0.0003"))

    assert note.startswith("BTC_USDT: ")
    assert said in note


@pytest.mark.parametrize("kept", ["quote", "depth"])
def test_quotes_or_a_book_are_enough(kept: str) -> None:
    without = tuple({"quote", "depth"} - {kept})

    assert notes_of([data(without=without)], settings()) == ()


@pytest.mark.parametrize(
    ("latency", "expiry", "gap", "names"),
    [
        ("50", "60", 15_000, ["SIM_LATENCY_MS=50"]),
        ("10000", "60", 15_000, ["SIM_LATENCY_MS=10000"]),
        ("50", "10", 15_000, ["SIM_LATENCY_MS=50", "ORDER_EXPIRY_SEC=10"]),
        ("250", "15", 250, []),
        ("249", "15", 250, ["SIM_LATENCY_MS=249"]),
        ("10000", "10", 10_000, []),
        ("50", "60", None, []),
    ],
)
def test_a_setting_that_is_finer_than_the_points_of_the_bars_is_named(
    latency: str, expiry: str, gap: int | None, names: list[str]
) -> None:
    given = settings(SIM_LATENCY_MS=latency, ORDER_EXPIRY_SEC=expiry)

    notes = notes_of([data(gap=gap)], given)

    assert [note.partition("too coarse for ")[2].partition(",")[0] for note in notes] == names
    assert all(f"every {(gap or 0) / 1000:g} s" in note for note in notes)


def test_a_symbol_that_fell_silent_is_named_with_how_long_ago() -> None:
    silent = data("ETH_USDT", newest=END - 48 * HOUR_MS)
    pausing = data("SOL_USDT", newest=END - 60_000)

    assert notes_of([data(), silent, pausing], settings()) == (
        "ETH_USDT: no data in the last 48 h: its last price stands for that time",
    )
    assert len(notes_of([data(), data("SOL_USDT", newest=END - 60_001)], settings())) == 1


def test_one_note_names_all_symbols_that_it_is_true_of() -> None:
    known = [data("A_USDT", without=("mark",)), data("B_USDT", without=("mark", "funding"))]

    assert [note.partition(":")[0] for note in notes_of(known, settings())] == [
        "A_USDT, B_USDT",
        "B_USDT",
    ]
