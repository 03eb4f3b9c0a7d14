"""`claire validate` on stops: an entry that can lose more at its stop than it may is found."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.kernel.events import Event, OrderResult, OrderStatus, Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.pipeline import Pipeline
from services.proof.validation.findings import Findings, Rule
from services.proof.validation.stops import StopCheck
from services.proof.validation.validation import validate
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.recorded import MemoryRecord, record_of
from tests.unit.scenarios.rules_off import RULES

pytestmark = pytest.mark.unit

XBT = "XBT_USD"
CONTRACTS = builders.instruments(
    builders.instrument(BTC), generic_instrument(XBT, Decimal("0.5"), inverse=True)
)
FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}


def an_entry_that_fills_higher() -> list[Event]:
    """Decided at 100 and filled at 101."""

    def at(seconds: int, price: Number) -> list[Event]:
        now = NOON + seconds * 1000
        return [builders.clock(now), builders.trade(BTC, price, now, 10_000)]

    events: list[Event] = [builders.run_started(FREE), CONTRACTS, *at(0, 100)]
    events += [builders.signal(BTC, Side.BUY, 100, NOON), *at(1, 101), *at(2, 101)]
    events += [builders.exit_signal(BTC, Side.SELL, 101, NOON + 2000), *at(3, 101)]
    events += [msgspec.structs.replace(builders.run_ended(NOON + 4000), event_id="ended")]
    named = [
        msgspec.structs.replace(event, event_id=f"story-{n}", correlation_id=None)
        for n, event in enumerate(events)
    ]
    return list(Pipeline().run(named))


def recorded() -> MemoryRecord:
    return record_of(an_entry_that_fills_higher())  # type: ignore[arg-type]


def broken(record: MemoryRecord) -> dict[Rule, int]:
    return dict(validate(record, record.whole()).findings.by_rule)


def test_a_stop_that_was_not_set_at_the_fill_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(recorded()) == {}

    RULES["stop_at_fill"](monkeypatch)

    assert broken(recorded()) == {Rule.STOPS: 2}  # the order, and the position that it is


def test_a_stop_that_was_changed_in_the_record_is_named_with_what_it_loses() -> None:
    record = recorded()
    index = record.find("order_result")
    changed = record.change(index, b'"stop_loss_price":"99.00"', b'"stop_loss_price":"98.99"')

    found = validate(record, record.whole()).findings

    assert found.by_rule == {Rule.CHAIN: 1, Rule.STOPS: 2}
    order, position = [finding for finding in found.first if finding.rule is Rule.STOPS]
    assert (order.seq, order.event_id) == (changed.seq, changed.event_id)
    assert order.message.endswith(
        "is filled at 101.00: the order loses 201.000 at its stop 98.99; 200.000 may be risked"
    )
    assert "the position loses 201.000 at its stop 98.99" in position.message


def found(*events: Event, settings: dict[str, str] | None = None, **account: Any) -> list[str]:
    """What the check reports of a run's orders and fills."""
    findings = Findings()
    check = StopCheck(findings)
    opening = builders.account(**account)
    for event in (builders.run_started(settings, opening=opening), CONTRACTS, *events):
        check.see(event)
    assert set(findings.by_rule) <= {Rule.STOPS}
    return [finding.message.partition(": ")[2] for finding in findings.first]


def filled(
    symbol: str,
    quantity: Number,
    price: Number,
    stop: Number | None,
    equity: Number | None = 100_000,
    of: Number | None = None,
    **given: Any,
) -> OrderResult:
    """A fill of an entry whose stop was set with an equity; perhaps of a larger order."""
    signed = Decimal(quantity)
    arithmetic = {} if equity is None else {"equity": equity}
    side = Side.BUY if signed > 0 else Side.SELL
    result = builders.result(symbol, side, abs(signed), price, stop=stop, fill=arithmetic, **given)
    return result if of is None else msgspec.structs.replace(result, quantity=Decimal(of))


def kinds(messages: Iterable[str]) -> list[str]:
    return [message.split()[1] for message in messages]


@pytest.mark.parametrize(
    ("symbol", "quantity", "price", "kept", "beyond"),
    [
        (BTC, 100, 100, 98, "97.99"),
        (BTC, -100, 100, 102, "102.01"),
        # 90,000 / 9,000 are 10 coins, of which each may lose 20.
        (XBT, 90_000, 9_000, 8_980, "8979.5"),
        (XBT, -90_000, 9_000, 9_020, "9020.5"),
    ],
)
def test_from_fill_to_stop_an_entry_loses_what_may_be_risked_and_no_more(
    symbol: str, quantity: int, price: int, kept: Number, beyond: Number
) -> None:
    assert found(filled(symbol, quantity, price, kept)) == []
    assert kinds(found(filled(symbol, quantity, price, beyond))) == ["order", "position"]


def test_what_may_be_risked_is_a_part_of_the_equity_named_and_of_the_runs_settings() -> None:
    assert kinds(found(filled(BTC, 100, 100, 98, equity="99999"))) == ["order", "position"]
    half = {"RISK_PER_TRADE_PCT": "0.001"}
    assert found(filled(BTC, 100, 100, 99), settings=half) == []
    assert len(found(filled(BTC, 100, 100, "98.99"), settings=half)) == 2


def test_a_part_of_an_order_is_held_to_what_the_whole_of_it_would_lose() -> None:
    assert kinds(found(filled(BTC, 1, 100, 97, of=100))) == ["order"]


@pytest.mark.parametrize("symbol", [BTC, XBT])
def test_what_is_added_counts_together_with_what_was_held(symbol: str) -> None:
    size = 90 if symbol == BTC else 9_000  # 90 coins each at 100
    apart = [filled(symbol, size, 100, 98), filled(symbol, size, 100, 98)]
    near = [filled(symbol, size, 100, 98), filled(symbol, size, 100, 99)]

    assert kinds(found(*apart)) == ["position"]
    assert found(*near) == []


def test_of_two_prices_the_position_has_the_mean() -> None:
    first = filled(BTC, 100, 100, 98)

    # 200 coins at a mean of 101 lose 200 at 100.
    assert found(first, filled(BTC, 100, 102, 100)) == []
    assert kinds(found(first, filled(BTC, 100, 102, "99.99"))) == ["order", "position"]


@pytest.mark.parametrize("stop", [100, "100.01"])
def test_a_stop_at_or_beyond_the_fill_is_none(stop: Number) -> None:
    (message,) = found(filled(BTC, 1, 100, stop))
    assert message == f"its stop {stop} is not beyond that price"


def test_an_entry_without_a_stop_is_found() -> None:
    assert found(filled(BTC, 1, 100, None)) == ["it has no stop"]


@pytest.mark.parametrize(("price", "findings"), [("98.01", 0), (98, 1), (97, 1)])
def test_a_fill_at_or_beyond_the_decisions_stop_is_found(price: Number, findings: int) -> None:
    order = builders.order(BTC, Side.BUY, 1, 100, stop=98)
    stop = Decimal(price) - 1
    messages = found(order, filled(BTC, 1, price, stop, order_id=order.order_id))
    assert messages == ["the decision's stop 98 is not beyond that price"] * findings


def test_the_order_is_known_until_its_last_fill() -> None:
    order = builders.order(BTC, Side.SELL, 3, 100, stop=102)

    def part(price: Number, status: OrderStatus) -> OrderResult:
        return filled(BTC, -1, price, 104, order_id=order.order_id, status=status)

    messages = found(
        order,
        part(100, OrderStatus.PARTIALLY_FILLED),
        part(102, OrderStatus.FILLED),
        part(103, OrderStatus.FILLED),
    )
    assert messages == ["the decision's stop 102 is not beyond that price"]


def test_what_only_closes_a_position_of_the_other_side_needs_no_stop() -> None:
    short = filled(BTC, -100, 100, 102)

    assert found(short, filled(BTC, 100, 100, None)) == []
    assert found(short, filled(BTC, 50, 100, None)) == []
    assert kinds(found(short, filled(BTC, 201, 100, 98))) == ["order", "position"]


def test_what_was_carried_over_counts() -> None:
    positions = [builders.opening_position(BTC, 100, 100)]

    assert found(filled(BTC, 100, 100, 99), positions=positions) == []
    assert kinds(found(filled(BTC, 100, 100, "98.99"), positions=positions)) == ["position"]


def test_a_new_run_forgets_what_it_was_not_given() -> None:
    again = builders.run_started(run_id="run-2")

    assert found(filled(BTC, 100, 100, 98), again, filled(BTC, 100, 100, 98)) == []


def test_exits_refusals_and_fills_of_before_are_not_compared() -> None:
    exit_fill = filled(BTC, -10, 90, None, reduce_only=True)
    refused = builders.result(BTC, Side.BUY, 10, None, stop=1, fill={"equity": 100_000})

    assert found(filled(BTC, 100, 100, 50, equity=None), exit_fill, refused) == []
