"""Funding: booked once per symbol and settlement, by the clock, from the last rate and mark."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.cdb_paper_runner.run_book import RunBook
from services.kernel.events import Event, Side
from services.kernel.instruments import perpetuals
from services.kernel.portfolio.portfolio import FundingPayment, Portfolio, PortfolioState
from tests import builders
from tests.builders import BTC, ETH, HOUR_MS, MIDNIGHT

pytestmark = [pytest.mark.unit, pytest.mark.risk]

EIGHT, SIXTEEN = MIDNIGHT + 8 * HOUR_MS, MIDNIGHT + 16 * HOUR_MS


class Account:
    """Long 10 at 100 since midnight; keeps what was paid."""

    def __init__(self, quantity: int = 10) -> None:
        self.portfolio = Portfolio()
        self.paid: list[FundingPayment] = []
        side = Side.BUY if quantity > 0 else Side.SELL
        self.apply(
            builders.run_started(at=MIDNIGHT),
            builders.instruments(builders.instrument(BTC)),
            builders.trade(BTC, 100, MIDNIGHT),
            builders.result(BTC, side, abs(quantity), 100, MIDNIGHT),
        )

    def apply(self, *events: Event) -> "Account":
        for event in events:
            for effect in self.portfolio.apply(event):
                assert isinstance(effect, FundingPayment)
                self.paid.append(effect)
        return self

    @property
    def settled(self) -> list[tuple[int, Decimal]]:
        return [(payment.settlement_time, payment.amount) for payment in self.paid]


def announce(rate: str = "0.0001", next_time: int | None = EIGHT, at: int = MIDNIGHT) -> Any:
    return builders.funding(BTC, rate, next_time, at)


@pytest.mark.parametrize(
    ("quantity", "rate", "amount"),
    [(10, "0.0001", "-0.1"), (-10, "0.0001", "0.1"), (10, "-0.0001", "0.1"), (10, "0", "0")],
)
def test_longs_pay_shorts_while_the_rate_is_positive(quantity: int, rate: str, amount: str) -> None:
    account = Account(quantity).apply(announce(rate), builders.clock(EIGHT))

    assert account.settled == [(EIGHT, Decimal(amount))]
    assert account.portfolio.state.funding == Decimal(amount)
    assert account.portfolio.equity == 100_000 + Decimal(amount)


def test_a_payment_keeps_what_it_was_made_from() -> None:
    (payment,) = Account().apply(announce(), builders.clock(EIGHT)).paid

    assert (payment.symbol, payment.quantity, payment.mark_price) == (BTC, 10, 100)
    assert payment.rate == Decimal("0.0001")


def test_nothing_is_settled_before_its_time_and_once_at_it() -> None:
    account = Account().apply(announce(), builders.clock(EIGHT - 1))
    assert account.paid == []

    account.apply(builders.clock(EIGHT), builders.clock(EIGHT + 1000))

    assert len(account.paid) == 1


def test_a_venue_that_goes_on_announcing_the_settled_time_is_not_paid_twice() -> None:
    account = Account().apply(announce(), builders.clock(EIGHT + 200))

    account.apply(
        announce("0.0003", EIGHT, at=EIGHT - 100),  # late
        announce("0.0003", EIGHT, at=EIGHT + 300),
        builders.clock(EIGHT + 1000),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1"))]


def test_the_next_rate_told_before_the_clock_does_not_replace_what_is_due() -> None:
    account = Account().apply(
        announce("0.0001", EIGHT),
        announce("0.0002", SIXTEEN, at=EIGHT + 300),
        builders.clock(EIGHT + 900),
    )
    assert account.settled == [(EIGHT, Decimal("-0.1"))]

    account.apply(builders.clock(SIXTEEN))

    assert account.settled[1:] == [(SIXTEEN, Decimal("-0.2"))]


def test_the_next_rate_told_in_the_moment_of_a_settlement_is_not_its_rate() -> None:
    account = Account().apply(
        announce("0.0001", EIGHT),
        announce("0.0002", SIXTEEN, at=EIGHT),
        builders.clock(EIGHT),
        builders.clock(SIXTEEN),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1")), (SIXTEEN, Decimal("-0.2"))]


def test_a_next_rate_without_a_time_is_for_the_usual_interval() -> None:
    account = Account().apply(
        announce("0.0001", EIGHT),
        announce("0.0002", None, at=EIGHT + 300),
        builders.clock(EIGHT + 900),
        builders.clock(SIXTEEN),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1")), (SIXTEEN, Decimal("-0.2"))]


def test_what_is_due_may_still_be_told_again_until_its_clock_comes() -> None:
    account = Account().apply(
        announce("0.0001", EIGHT),
        announce("0.0004", EIGHT, at=EIGHT + 300),
        builders.clock(EIGHT + 900),
    )

    assert account.settled == [(EIGHT, Decimal("-0.4"))]


def test_the_last_rate_before_the_settlement_counts() -> None:
    account = Account().apply(
        announce("0.0001"),
        announce("0.0002", at=EIGHT - 1000),
        builders.trade(BTC, 105, EIGHT - 500),
        builders.clock(EIGHT),
    )

    assert account.settled == [(EIGHT, Decimal("-0.21"))]


def test_only_the_settlement_whose_rate_is_known_is_made_up_for_after_an_outage() -> None:
    account = Account().apply(announce(), builders.clock(MIDNIGHT + 25 * HOUR_MS))

    assert account.settled == [(EIGHT, Decimal("-0.1"))]


def test_both_settlements_are_made_up_for_where_both_rates_are_known() -> None:
    account = Account().apply(
        announce("0.0001", EIGHT),
        announce("0.0002", SIXTEEN, at=EIGHT + 300),
        builders.clock(MIDNIGHT + 25 * HOUR_MS),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1")), (SIXTEEN, Decimal("-0.2"))]


def test_one_clock_years_later_settles_no_thousand_times() -> None:
    account = Account().apply(announce(), builders.clock(MIDNIGHT + 3 * 365 * 24 * HOUR_MS))

    assert len(account.paid) == 1


def test_a_rate_is_for_one_settlement() -> None:
    account = Account().apply(announce(), builders.clock(EIGHT), builders.clock(SIXTEEN))

    assert account.settled == [(EIGHT, Decimal("-0.1"))]


@pytest.mark.parametrize("outage_hours", [8, 9, 15, 16])
def test_after_an_outage_a_rate_without_a_time_is_for_the_next_settlement(
    outage_hours: int,
) -> None:
    back = EIGHT + outage_hours * HOUR_MS
    following = EIGHT + (outage_hours // 8 + 1) * 8 * HOUR_MS
    account = Account().apply(announce(), builders.clock(back), announce("0.0003", None, at=back))

    account.apply(builders.clock(following - 1))
    assert len(account.paid) == 1
    account.apply(builders.clock(following))

    assert account.settled[1:] == [(following, Decimal("-0.3"))]


def test_settlements_made_up_for_while_flat_are_over_for_what_is_opened_later() -> None:
    late = MIDNIGHT + 25 * HOUR_MS
    account = Account()
    account.portfolio.apply(builders.result(BTC, Side.SELL, 10, 100, MIDNIGHT))
    account.apply(announce(), builders.clock(late))

    account.apply(builders.result(BTC, Side.BUY, 10, 100, late), builders.clock(late + 1000))

    assert account.paid == []


@pytest.mark.parametrize("hours", [1, 4])
def test_the_interval_is_the_contract_s(hours: int) -> None:
    account = Account().apply(
        builders.instruments(builders.instrument(BTC, funding_interval_hours=hours)),
        announce(),
        builders.clock(EIGHT),
        announce(next_time=None, at=EIGHT),
        builders.clock(EIGHT + hours * HOUR_MS - 1),
    )
    assert len(account.paid) == 1

    account.apply(builders.clock(EIGHT + hours * HOUR_MS))

    assert len(account.paid) == 2


def test_an_interval_of_nothing_does_not_hang() -> None:
    account = Account().apply(
        builders.instruments(builders.instrument(BTC, funding_interval_hours=0)),
        announce(),
        builders.clock(EIGHT),
    )

    assert len(account.paid) == 1


@pytest.mark.parametrize(
    "next_time",
    [
        MIDNIGHT // 1000,  # seconds, not milliseconds
        MIDNIGHT,
    ],
)
def test_a_time_that_is_past_already_is_not_believed(next_time: int) -> None:
    account = Account().apply(
        announce(next_time=next_time, at=MIDNIGHT),
        builders.clock(MIDNIGHT + HOUR_MS),
    )

    assert account.paid == []


def test_only_positions_open_at_that_instant_pay() -> None:
    account = Account().apply(
        announce(),
        builders.funding(ETH, "0.0001", EIGHT, MIDNIGHT),
    )
    account.portfolio.apply(builders.result(BTC, Side.SELL, 10, 100, EIGHT - 1))

    account.apply(builders.clock(EIGHT))

    assert account.paid == []
    assert account.portfolio.state.funding == 0


def test_without_a_rate_or_a_time_nothing_is_settled() -> None:
    account = Account().apply(
        builders.funding(BTC, None, EIGHT, MIDNIGHT),
        announce(next_time=None),
        builders.clock(EIGHT),
    )

    assert account.paid == []


def test_funding_at_midnight_belongs_to_the_day_that_ends() -> None:
    midnight = MIDNIGHT + 24 * HOUR_MS
    account = Account().apply(announce(next_time=midnight), builders.clock(midnight))

    assert account.portfolio.state.day_start_equity == Decimal("99999.9")
    assert account.portfolio.daily_drawdown_pct == 0


@pytest.mark.parametrize("restart_after", range(9))
def test_a_restart_anywhere_pays_everything_once(restart_after: int) -> None:
    story = [
        announce("0.0001", EIGHT),
        builders.clock(EIGHT - 1000),
        announce("0.0002", SIXTEEN, at=EIGHT + 300),
        builders.clock(EIGHT + 900),
        announce("0.0001", EIGHT, at=EIGHT + 950),
        builders.clock(EIGHT + 1900),
        announce("0.0003", SIXTEEN, at=SIXTEEN - 1000),
        builders.clock(SIXTEEN),
        builders.clock(SIXTEEN + 1000),
    ]
    account = Account().apply(*story[:restart_after])

    kept = msgspec.json.encode(account.portfolio.state)
    account.portfolio = Portfolio()
    account.portfolio.state = msgspec.json.decode(kept, type=PortfolioState)
    account.apply(*story[restart_after:])

    assert account.settled == [(EIGHT, Decimal("-0.1")), (SIXTEEN, Decimal("-0.3"))]


def next_run(account: Account, at: int) -> Account:
    """The account goes on in a new run that begins at this time."""
    opening = RunBook().carried_over(account.portfolio)
    return account.apply(builders.run_started(run_id="run-2", opening=opening, at=at))


def test_a_settlement_between_two_runs_is_neither_lost_nor_paid_twice() -> None:
    account = Account().apply(announce("0.0001", EIGHT), builders.clock(EIGHT - 1000))

    next_run(account, EIGHT + 5_000).apply(builders.clock(EIGHT + 6_000))
    assert account.settled == [(EIGHT, Decimal("-0.1"))]
    next_run(account, EIGHT + 7_000).apply(
        announce("0.0001", EIGHT, at=EIGHT - 500),  # late
        builders.clock(EIGHT + 8_000),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1"))]


def test_what_was_settled_as_the_next_run_began_is_over() -> None:
    account = Account().apply(announce("0.0001", EIGHT), builders.clock(EIGHT))

    next_run(account, EIGHT).apply(
        announce("0.0001", EIGHT, at=EIGHT - 500),  # late
        builders.clock(EIGHT + 1_000),
    )

    assert account.settled == [(EIGHT, Decimal("-0.1"))]


def test_a_replay_of_older_data_settles_by_its_own_times() -> None:
    account = Account().apply(announce("0.0001", SIXTEEN), builders.clock(SIXTEEN))

    next_run(account, SIXTEEN + HOUR_MS).apply(
        builders.clock(MIDNIGHT), announce("0.0002", EIGHT), builders.clock(EIGHT)
    )

    assert account.settled == [(SIXTEEN, Decimal("-0.1")), (EIGHT, Decimal("-0.2"))]


def test_what_is_received_is_rounded_down_and_what_is_paid_up() -> None:
    def payment(quantity: str) -> Decimal:
        return perpetuals.funding_payment(
            Decimal(quantity) * Decimal("33.333"), Decimal("0.00010001")
        )

    assert payment("0.001") == Decimal("-0.00000334")
    assert payment("-0.001") == Decimal("0.00000333")
