"""The seven layers: what each checks, where it ends, and what is kept (contract, section 3)."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import LayerVerdict, Side, TradingState
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.market.order_book import Book
from services.kernel.reasons import Reason
from services.kernel.risk.checks.layers import assess
from services.kernel.risk.state.symbol_health import SymbolHealth
from tests.builders import NOON
from tests.unit.kernel.candidates import candidate, layer, market, settings

pytestmark = [pytest.mark.unit, pytest.mark.risk]

PASS, FAIL, NOT_APPLICABLE = LayerVerdict


def test_a_calm_entry_passes_all_seven() -> None:
    assessment = assess(candidate())

    assert [result.layer for result in assessment.results] == [1, 2, 3, 4, 5, 6, 7]
    assert [result.verdict for result in assessment.results] == [
        *(PASS, NOT_APPLICABLE, PASS, PASS, PASS, PASS, PASS)
    ]
    assert (assessment.reason, assessment.failures) == (None, ())


def test_all_results_are_kept_and_the_lowest_failing_layer_is_the_reason() -> None:
    assessment = assess(
        candidate(
            daily_drawdown_pct="0.06",
            health=market(anomaly=Reason.PRICE_JUMP, stale=True),
            position=500,
            stop_loss_price=0,
            entries_last_hour=10,
            elsewhere=30_000,
        )
    )

    assert [result.verdict for result in assessment.results] == [FAIL] * 7
    assert assessment.reason is Reason.DAILY_DRAWDOWN
    assert assessment.failures == (
        (1, Reason.DAILY_DRAWDOWN),
        (2, Reason.PRICE_JUMP),
        (3, Reason.DATA_STALE),
        (4, Reason.EXPOSURE_LIMIT),
        (5, Reason.POSITION_LIMIT),
        (6, Reason.STOP_LOSS_INVALID),
        (7, Reason.TRADE_FREQUENCY),
    )


@pytest.mark.parametrize("failing", range(2, 8))
def test_a_higher_layer_is_the_reason_only_when_all_below_pass(failing: int) -> None:
    breaches: dict[int, dict[str, Any]] = {
        2: {"health": market(anomaly=Reason.SLIPPAGE_SEEN)},
        3: {"signal_age_ms": 5001},
        4: {"elsewhere": 29_999},
        5: {"position": 1},
        6: {"stop_loss_price": 97},
        7: {"entries_last_hour": 10},
    }
    fields: dict[str, Any] = {}
    for number in range(failing, 8):
        fields |= breaches[number]

    assessment = assess(candidate(**fields))

    assert assessment.failures[0] == (failing, assessment.reason)


# Layer 1


@pytest.mark.parametrize(
    ("daily", "verdict", "headroom"),
    [
        ("0", PASS, "0.05"),
        ("0.0499", PASS, "0.0001"),
        ("0.05", FAIL, "0"),
        ("0.07", FAIL, "-0.02"),
    ],
)
def test_1_the_day_s_loss_must_stay_below_its_limit(
    daily: str, verdict: LayerVerdict, headroom: str
) -> None:
    result = layer(1, daily_drawdown_pct=daily)

    assert (result.verdict, result.unit) == (verdict, "fraction")
    assert (result.value, result.limit) == (Decimal(daily), Decimal("0.05"))
    assert result.headroom == Decimal(headroom)


def test_1_the_loss_from_the_peak_counts_where_it_is_nearer_to_its_limit() -> None:
    near = layer(1, daily_drawdown_pct="0.01", drawdown_pct="0.099")
    over = assess(candidate(daily_drawdown_pct="0.01", drawdown_pct="0.10"))

    assert (near.value, near.limit, near.verdict) == (Decimal("0.099"), Decimal("0.10"), PASS)
    assert near.detail == "loss from the peak; account ACTIVE"
    assert layer(1).detail == "loss of the day; account ACTIVE"
    assert over.reason is Reason.EQUITY_DRAWDOWN


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"account_state": TradingState.HALTED}, Reason.HALTED),
        ({"account_state": TradingState.PAUSED}, Reason.PAUSED),
        ({"health": market(operator_paused=True)}, Reason.PAUSED),
    ],
)
def test_1_a_halt_or_pause_fails_it(fields: dict[str, Any], reason: Reason) -> None:
    assert assess(candidate(**fields)).reason is reason


# Layer 2


def spread(multiple: str, samples: int = 21) -> SymbolHealth:
    normal = Decimal("0.001")
    return market(spread=normal * Decimal(multiple), compared_with=normal, spread_samples=samples)


@pytest.mark.parametrize(("multiple", "verdict"), [("1", PASS), ("5", PASS), ("5.1", FAIL)])
def test_2_the_spread_may_be_a_multiple_of_its_normal(multiple: str, verdict: LayerVerdict) -> None:
    result = layer(2, health=spread(multiple))

    assert (result.value, result.limit, result.unit) == (Decimal(multiple), Decimal(5), "times")
    assert result.headroom == 5 - Decimal(multiple)
    assert result.detail.split(";")[0] == "spread over its normal"
    assert result.verdict is verdict


def test_2_without_quotes_it_does_not_apply_and_passes() -> None:
    result = layer(2)

    assert (result.verdict, result.value, result.headroom) == (NOT_APPLICABLE, None, None)
    assert (result.limit, result.detail.split(";")[0]) == (5, "no quotes to compare")
    assert layer(2, health=spread("9", samples=20)).verdict is NOT_APPLICABLE


@pytest.mark.parametrize(
    "anomaly", [Reason.PRICE_JUMP, Reason.SPREAD_ANOMALY, Reason.SLIPPAGE_SEEN]
)
def test_2_an_anomaly_fails_it_by_its_name_and_quarantine_by_its_own(anomaly: Reason) -> None:
    assert assess(candidate(health=market(anomaly=anomaly))).reason is anomaly
    quarantined = market(anomaly=anomaly, quarantined=True)
    assert assess(candidate(health=quarantined)).reason is Reason.QUARANTINED


def test_2_in_quarantine_the_spread_is_still_told() -> None:
    known = spread("2")
    known.quarantined = True

    result = layer(2, health=known)

    assert (result.value, result.limit, result.verdict) == (2, 5, FAIL)
    assert result.detail == "waits for a person to release it"


@pytest.mark.parametrize(("ask", "verdict"), [("102", PASS), ("102.01", FAIL)])
def test_2_the_book_may_cost_as_much_as_is_allowed(ask: str, verdict: LayerVerdict) -> None:
    quoted = market(book=Book(bid=Decimal(99), ask=Decimal(ask), time=NOON))

    result = layer(2, health=quoted, stop_loss_price=90, settings=settings(MAX_COST_SHARE="1"))

    assert (result.value, result.limit) == ((Decimal(ask) - 100) / 100, Decimal("0.02"))
    assert (result.verdict, result.unit) == (verdict, "fraction")
    expected = {
        PASS: "slippage that is expected",
        FAIL: "slippage that the present book would cost",
    }
    assert result.detail.split(";")[0] == expected[verdict]


def test_2_the_levels_of_an_inverse_contract_hold_coins_that_are_asked_for_in_dollars() -> None:
    asks = ((Decimal(100), Decimal(5)), (Decimal(125), Decimal(50)))
    known = market(
        book=Book(bid=Decimal(99), ask=Decimal(100), time=NOON, asks=asks, depth_time=NOON)
    )
    contract = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)

    result = layer(2, health=known, instrument=contract, quantity=1_000)

    # 5 coins for 500 dollars and 4 for the other 500: 111.11 on average.
    assert result.value == Decimal("0.11111111")


# Layer 3


@pytest.mark.parametrize(("age_ms", "verdict"), [(0, PASS), (60_000, PASS), (60_001, FAIL)])
def test_3_data_may_not_be_older_than_the_timeout(age_ms: int, verdict: LayerVerdict) -> None:
    result = layer(3, now=NOON + age_ms)

    assert (result.value, result.limit) == (Decimal(age_ms) / 1000, Decimal(60))
    assert (result.verdict, result.unit) == (verdict, "seconds")


@pytest.mark.parametrize(("age_ms", "verdict"), [(5000, PASS), (5001, FAIL)])
def test_3_a_signal_may_not_be_older_than_its_limit(age_ms: int, verdict: LayerVerdict) -> None:
    result = layer(3, signal_age_ms=age_ms)

    assert result.verdict is verdict
    if verdict is FAIL:
        assert (result.value, result.limit) == (Decimal("5.001"), 5)
        assert result.detail == "age of the signal"


def test_3_says_what_kind_of_doubt_it_has() -> None:
    def reason(**fields: Any) -> Reason | None:
        return assess(candidate(**fields)).reason

    assert reason(health=SymbolHealth()) is Reason.NO_MARKET_DATA
    assert layer(3, health=SymbolHealth()).limit == 60
    assert reason(contract_known=False) is Reason.NO_MARKET_DATA
    assert reason(open_conditions=("DATABASE_AWAY: not reachable",)) is Reason.CONDITION_OPEN
    assert reason(health=market(stale=True)) is Reason.DATA_STALE
    assert reason(signal_age_ms=6000) is Reason.SIGNAL_TOO_OLD


def test_3_a_tick_from_the_same_second_as_the_clock_is_not_from_the_future() -> None:
    result = layer(3, health=market(seen_at=NOON + 400), now=NOON)

    assert (result.value, result.verdict) == (0, PASS)


# Layer 4


@pytest.mark.parametrize(
    ("elsewhere", "verdict", "value"),
    [(0, PASS, "0.1"), (20_000, PASS, "0.3"), (20_001, FAIL, "0.30001")],
)
def test_4_everything_after_the_trade_counts(
    elsewhere: int, verdict: LayerVerdict, value: str
) -> None:
    result = layer(4, elsewhere=elsewhere)

    assert (result.value, result.limit) == (Decimal(value), Decimal("0.30"))
    assert result.headroom == Decimal("0.30") - Decimal(value)
    assert result.verdict is verdict


@pytest.mark.parametrize(
    ("elsewhere", "correlated", "value", "verdict"),
    [
        (10_000, 10_000, "0.2", PASS),  # alike may take 0.2: nothing is left
        (10_000, 10_001, "0.20001", FAIL),
        (15_000, 4_000, "0.25", PASS),  # total may take 0.3: 0.05 is left, and alike 0.06
        (15_000, 5_000, "0.25", PASS),  # as much is left of both
        (15_000, 6_000, "0.16", PASS),
    ],
)
def test_4_of_the_total_and_what_moves_alike_it_tells_the_one_nearer_its_limit(
    elsewhere: int, correlated: int, value: str, verdict: LayerVerdict
) -> None:
    limits = settings(MAX_TOTAL_EXPOSURE_PCT="0.3", MAX_CORRELATED_EXPOSURE_PCT="0.2")

    result = layer(4, settings=limits, elsewhere=elsewhere, correlated=correlated)

    assert (result.value, result.verdict) == (Decimal(value), verdict)
    assert result.limit == (Decimal("0.3") if value == "0.25" else Decimal("0.2"))
    total = "gross notional after the trade over equity"
    alike = "notional after the trade over equity, of what moves alike: ETH_USDT (0.9)"
    assert result.detail == (total if value == "0.25" else alike)


def test_4_an_opposite_entry_nets_with_the_position() -> None:
    assert layer(4, position=-150, quantity=100).value == Decimal("0.05")
    assert layer(4, position=-150, quantity=250).value == Decimal("0.1")


# Layer 5


@pytest.mark.parametrize(
    ("position", "verdict"), [(-50, PASS), (0, PASS), ("0.001", FAIL), (50, FAIL)]
)
def test_5_one_position_may_be_a_tenth_of_equity(position: str, verdict: LayerVerdict) -> None:
    result = layer(5, position=position)

    assert result.value == abs(Decimal(position) + 100) * 100 / 100_000
    assert (result.limit, result.verdict) == (Decimal("0.10"), verdict)


def test_5_liquidation_must_be_far_enough_away_and_headroom_says_how_far() -> None:
    near = layer(5, leverage=10, settings=settings(MAX_LEVERAGE="10"))
    far = layer(5, leverage=3)

    assert (near.value, near.limit) == (Decimal("0.095"), Decimal("0.15"))
    assert (near.verdict, near.headroom) == (FAIL, Decimal("-0.055"))
    assert far.verdict is PASS
    assert "liquidation 0.3283 away" in far.detail


def test_5_a_liquidation_distance_at_its_limit_passes() -> None:
    wanted = settings(MIN_LIQUIDATION_DISTANCE="0.195")

    assert layer(5, leverage=5, settings=wanted).verdict is PASS


# Layer 6


@pytest.mark.parametrize(
    ("stop", "verdict"),
    [
        (98, PASS),
        ("99.98", PASS),
        ("99.99", FAIL),
        (100, FAIL),
        (101, FAIL),
        ("97.99", FAIL),
        (0, FAIL),
        (-1, FAIL),
    ],
)
def test_6_a_long_needs_a_stop_below_its_price_and_near_enough(
    stop: str, verdict: LayerVerdict
) -> None:
    result = layer(6, stop_loss_price=stop)

    assert result.value == (100 - Decimal(stop)) / 100
    assert (result.limit, result.verdict) == (Decimal("0.02"), verdict)


@pytest.mark.parametrize(("stop", "verdict"), [(102, PASS), (100, FAIL), ("102.01", FAIL)])
def test_6_a_short_needs_it_above(stop: str, verdict: LayerVerdict) -> None:
    assert layer(6, side=Side.SELL, stop_loss_price=stop).verdict is verdict


def test_6_is_measured_from_the_price_the_signal_saw_whatever_the_mark_price_is() -> None:
    assert layer(6, price=101, order_price=100, mark_price=101).verdict is PASS


@pytest.mark.parametrize(("mark", "verdict"), [("98.01", PASS), (98, FAIL), (97, FAIL)])
def test_6_a_stop_that_the_mark_price_has_reached_already_is_none(
    mark: str, verdict: LayerVerdict
) -> None:
    assert layer(6, order_price=100, mark_price=mark).verdict is verdict


def test_6_a_stop_at_the_price_is_none_wherever_the_mark_price_is() -> None:
    assert layer(6, stop_loss_price=100, mark_price=103).verdict is FAIL


@pytest.mark.parametrize(("stop", "verdict"), [("90.51", PASS), ("90.5", FAIL)])
def test_6_a_stop_must_come_before_the_liquidation(stop: str, verdict: LayerVerdict) -> None:
    wide = settings(STOP_LOSS_PCT="0.10", MAX_LEVERAGE="10")

    # With 10x liquidation is 0.1 - 0.005 away.
    assert layer(6, settings=wide, leverage=10, stop_loss_price=stop).verdict is verdict


# Layer 7


@pytest.mark.parametrize(("entries", "verdict"), [(0, PASS), (9, PASS), (10, FAIL)])
def test_7_counts_this_entry_too(entries: int, verdict: LayerVerdict) -> None:
    result = layer(7, entries_last_hour=entries)

    assert (result.value, result.limit, result.unit) == (entries + 1, 10, "entries")
    assert (result.headroom, result.verdict) == (9 - entries, verdict)


# What is kept
