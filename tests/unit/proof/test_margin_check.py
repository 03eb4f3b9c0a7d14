"""`claire validate` on margin: what costs more than it, and equity below zero, are found."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.kernel.events import Event, PortfolioSnapshot, PositionView, Side, topics
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.pipeline import Pipeline
from services.proof.validation.findings import Findings, Rule
from services.proof.validation.margins import MarginCheck
from services.proof.validation.validation import validate
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.recorded import record_of
from tests.unit.scenarios.rules_off import RULES

pytestmark = pytest.mark.unit

XBT = "XBT_USD"
STARTED = builders.run_started()
CONTRACTS = builders.instruments(
    builders.instrument(BTC), generic_instrument(XBT, Decimal("0.5"), inverse=True)
)


def a_jump_while_an_exit_is_pending() -> list[Event]:
    """A short position, its strategy's exit, and a price that rises a hundredfold."""

    def at(seconds: int, price: Number) -> list[Event]:
        now = NOON + seconds * 1000
        return [builders.clock(now), builders.trade(BTC, price, now, 10_000)]

    reported: list[Event] = [STARTED, CONTRACTS, *at(0, 100)]
    reported += [builders.signal(BTC, Side.SELL, 100, NOON), *at(1, 100), *at(2, 100)]
    reported += [builders.exit_signal(BTC, Side.BUY, 100, NOON + 2000)]
    for second in range(3, 70):
        reported += at(second, 10_000)
    ended = msgspec.structs.replace(builders.run_ended(NOON + 70_000), event_id="ended")
    named = [
        msgspec.structs.replace(event, event_id=f"story-{n}", correlation_id=None)
        for n, event in enumerate([*reported, ended])
    ]
    return list(Pipeline().run(named))


def broken(events: Iterable[Event]) -> dict[Rule, int]:
    record = record_of(list(events))  # type: ignore[arg-type]
    return dict(validate(record, record.whole()).findings.by_rule)


def test_a_loss_beyond_the_margin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(a_jump_while_an_exit_is_pending()) == {}

    RULES["margin_cap"](monkeypatch)

    assert broken(a_jump_while_an_exit_is_pending()) == {Rule.MARGIN: 1}


def found(*events: Event, settings: dict[str, str] | None = None, **account: Any) -> list[str]:
    """What the check reports of a run's fills and snapshots."""
    findings = Findings()
    check = MarginCheck(findings)
    opening = builders.account(**account)
    for event in (builders.run_started(settings, opening=opening), CONTRACTS, *events):
        check.see(event)
    assert set(findings.by_rule) <= {Rule.MARGIN}
    return [finding.message for finding in findings.first]


def filled(symbol: str, quantity: int, price: Number, leverage: Number = 4) -> Event:
    side = Side.BUY if quantity > 0 else Side.SELL
    return builders.result(symbol, side, abs(quantity), price, leverage=leverage)


@pytest.mark.parametrize(
    ("symbol", "held", "entry", "kept", "beyond"),
    [
        # A quarter of the value is margin; a fill lies on a tick, perhaps the next one.
        (BTC, 10, 100, "74.99", "74.98"),
        (BTC, -10, 100, "125.01", "125.02"),
        # 90,000 / 9,000 are 10 coins: 90,000 / 12.5 and 90,000 / 7.5
        (XBT, 90_000, 9_000, "7199.5", "7199"),
        (XBT, -90_000, 9_000, "12000.5", "12001"),
    ],
)
def test_the_margin_of_a_position_is_its_cost_over_its_leverage(
    symbol: str, held: int, entry: int, kept: str, beyond: str
) -> None:
    opened = filled(symbol, held, entry)

    assert found(opened, filled(symbol, -held, kept)) == []
    (message,) = found(opened, filled(symbol, -held, beyond))
    assert "its margin was" in message


def test_parts_and_additions_have_their_share_of_the_margin() -> None:
    entries = [filled(BTC, 10, 90), filled(BTC, 10, 110)]

    assert found(*entries, filled(BTC, -5, 75), filled(BTC, -15, 75)) == []
    assert len(found(*entries, filled(BTC, -5, 74), filled(BTC, -15, 74))) == 2


def test_what_flips_a_position_begins_with_a_margin_of_its_own() -> None:
    flipped = [filled(BTC, 10, 100), filled(BTC, -20, 100, leverage=2)]

    assert found(*flipped, filled(BTC, 10, 150)) == []
    assert len(found(*flipped, filled(BTC, 10, 151))) == 1


def test_a_gain_is_no_loss_and_a_new_position_owes_nothing_for_the_last() -> None:
    flat = [filled(BTC, 10, 100), filled(BTC, -10, 1_000)]

    assert found(*flat, filled(BTC, -10, 1_000), filled(BTC, 10, 1_200)) == []


def test_a_position_that_was_carried_over_has_its_margin() -> None:
    positions = [builders.opening_position(BTC, 10, 100, leverage=2)]

    assert found(filled(BTC, -10, 50), positions=positions) == []
    assert len(found(filled(BTC, -10, 49), positions=positions)) == 1


def test_a_new_run_forgets_what_it_was_not_given() -> None:
    again = builders.run_started(run_id="run-2")

    assert found(filled(BTC, 10, 100), again, filled(BTC, -10, 1)) == []


def test_what_filled_nothing_is_no_fill() -> None:
    refused = builders.result(BTC, Side.SELL, 10, None)

    assert found(filled(BTC, 10, 100), refused, filled(BTC, -10, 75)) == []


def test_with_cross_margin_a_position_may_lose_more() -> None:
    cross = {"MARGIN_MODE": "cross"}

    assert found(filled(BTC, 10, 100), filled(BTC, -10, 1), settings=cross) == []
    assert found(snapshot(margin=100, unrealised=-101), settings=cross) == []
    assert len(found(snapshot(equity=-1), settings=cross)) == 1


@pytest.mark.parametrize(
    ("equity", "margin", "unrealised", "findings"),
    [(0, 100, -100, 0), (-1, 100, 0, 1), (1, 100, "-100.01", 1), (-1, 100, -101, 2)],
)
def test_equity_below_zero_and_a_value_below_the_margin_are_found(
    equity: int, margin: int, unrealised: Number, findings: int
) -> None:
    assert len(found(snapshot(equity, margin, unrealised))) == findings


def test_a_snapshot_of_before_margin_was_published_is_not_compared() -> None:
    assert found(snapshot(margin=0, unrealised=-1)) == []


def snapshot(equity: Number = 1, margin: Number = 100, unrealised: Number = 0) -> Event:
    view = PositionView(
        symbol=BTC,
        quantity=Decimal(1),
        entry_price=Decimal(300),
        mark_price=Decimal(200),
        notional=Decimal(200),
        unrealised_profit=Decimal(unrealised),
        stop_loss_price=None,
        leverage=Decimal(3),
        margin=Decimal(margin),
    )
    published = builders.portfolio_snapshot("", builders.clock())
    assert isinstance(published, PortfolioSnapshot)
    assert published.producer == topics.PAPER_RUNNER
    return msgspec.structs.replace(published, equity=Decimal(equity), positions=(view,))
