"""What would have to change: a sentence for every reason that can reject a signal."""

from collections import Counter
from decimal import Decimal

import pytest

from services.explain.answered import Answered
from services.explain.funnel import Funnel, Miss
from services.explain.limits import LIMITS
from services.explain.remedies import miss_line, remedies
from services.kernel.settings.parameters import SETTING_SPECS

pytestmark = pytest.mark.unit


def funnel(**fields: object) -> Funnel:
    empty: dict[str, object] = {
        "began": 0, "ended": 1, "ticks": 10, "trades_seen": 10, "signals": 1, "exits": 0,
        "undecided": 0, "on_entries": Answered(), "on_exits": Answered(), "own_exits": {},
        "outside": 0, "orders": 0, "results": {}, "unfilled": {}, "nearest": (),
    }  # fmt: skip
    return Funnel(**(empty | fields))  # type: ignore[arg-type]


def rejected(**reasons: int) -> Answered:
    return Answered(rejected=Counter(reasons))


def miss(reason: str, value: str, limit: str, unit: str = "fraction") -> Miss:
    return Miss("e", 0, "BTC_USDT", "BUY", reason, 5, "position", Decimal(value), Decimal(limit),
                unit, Decimal("0.1"))  # fmt: skip


def test_every_limit_is_a_setting() -> None:
    names = {spec.name for spec in SETTING_SPECS}
    assert set(LIMITS.values()) <= names


def test_without_data_the_feed_is_named_and_without_signals_the_threshold() -> None:
    assert "claire status" in remedies(funnel(trades_seen=0, signals=0))[0]
    assert "SIGNAL_THRESHOLD_PCT" in remedies(funnel(signals=0))[0]


def test_a_near_miss_names_the_value_that_would_have_been_enough() -> None:
    near = miss("POSITION_LIMIT", "0.12", "0.10")
    assert miss_line(near).endswith("MAX_POSITION_PCT=0.12 or more would have let it pass")
    found = funnel(on_entries=rejected(POSITION_LIMIT=3), nearest=(near,))
    assert remedies(found)[0].endswith("MAX_POSITION_PCT=0.12 or more would have let it pass")


def test_what_only_a_person_can_end_is_said_so() -> None:
    found = remedies(funnel(on_entries=rejected(HALTED=2), on_exits=rejected(NO_SUCH_REASON=1)))
    assert "claire reset --reason" in found[0]
    assert "NO_SUCH_REASON, once" in found[1]


def test_when_every_signal_became_an_order_there_is_nothing_to_change() -> None:
    reported = remedies(funnel(on_entries=Answered(approved=1), orders=1))
    assert reported == ["nothing: every signal that could became an order"]


def test_the_largest_loss_comes_first_also_where_orders_were_lost_after_their_approval() -> None:
    found = funnel(
        on_entries=Answered(approved=80, rejected=Counter(TRADE_FREQUENCY=5, HALTED=100)),
        orders=80,
        unfilled={"EXPIRED": 79, "CANCELLED": 1},
    )

    reported = remedies(found)

    assert [line.split(",")[0] for line in reported] == [
        "HALTED", "EXPIRED after approval", "TRADE_FREQUENCY", "CANCELLED after approval",
    ]  # fmt: skip
    assert "ORDER_EXPIRY_SEC" in reported[1]


def test_exits_with_nothing_to_reduce_are_counted_by_themselves_and_stay_in_the_sum() -> None:
    found = funnel(
        on_entries=Answered(approved=2, trimmed=1, rejected=Counter(HALTED=3)),
        on_exits=Answered(approved=1, rejected=Counter(NOTHING_TO_REDUCE=5)),
        signals=12, exits=6, orders=4, results={"FILLED": 4},
    )  # fmt: skip

    reported = found.to_json()

    assert reported["nothing_to_reduce"] == 5
    assert reported["signals"] == (
        reported["approved"] + reported["trimmed"] + sum(reported["rejected"].values())
    )
    assert reported["adds_up"] is True


def test_an_exit_without_a_position_is_no_missed_trade() -> None:
    reported = remedies(funnel(on_exits=rejected(NOTHING_TO_REDUCE=5), signals=5, exits=5))
    assert reported == ["nothing: every signal that could became an order"]
