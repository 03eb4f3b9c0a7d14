"""Trades as rows: what a closing fill earned, in both kinds of contract, also after a restart."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from services.kernel.events import AnyEvent, Side
from services.kernel.portfolio.portfolio import FundingPayment
from services.persistence.orders import TRADES, OrderProjector, OrderRows, RecordedPayment
from tests import builders
from tests.builders import BTC

pytestmark = pytest.mark.unit


def trades_of(*events: AnyEvent, restart: bool = False) -> list[dict[str, Any]]:
    """The rows of ``trades``; every event is taken by a projector of its own on a restart."""
    projector, rows = OrderProjector(), OrderRows()
    for event in events:
        if restart:
            kept, projector = projector.snapshot(), OrderProjector()
            projector.restore(kept)
        projector.apply(event, rows)
    return [dict(zip(TRADES, row, strict=True)) for row in rows.trades]


def round_trip(*, inverse: bool) -> tuple[AnyEvent, ...]:
    """100,000 bought at 8,000, sold at 10,000."""
    return (
        builders.run_started(),
        builders.instruments(builders.instrument(BTC, inverse=inverse)),
        builders.result(BTC, Side.BUY, 100_000, 8_000),
        builders.result(BTC, Side.SELL, 100_000, 10_000, fees=8, reduce_only=True),
    )


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("inverse", "profit"),
    [
        (False, 200_000_000),  # 100,000 coins, 2,000 each
        (True, 25_000),  # 12.5 coins for 100,000, worth 125,000
    ],
)
def test_a_trade_is_reckoned_by_its_kind_of_contract(
    inverse: bool, profit: int, restart: bool
) -> None:
    (trade,) = trades_of(*round_trip(inverse=inverse), restart=restart)

    assert trade["gross_profit"] == profit
    assert trade["profit_loss"] == profit - 8
    assert (trade["entry_price"], trade["exit_price"]) == (8_000, 10_000)
    assert (trade["quantity"], trade["fees_close"]) == (100_000, Decimal(8))


@pytest.mark.parametrize("restart", [False, True])
def test_a_payment_belongs_to_the_trades_that_are_closed_behind_it(restart: bool) -> None:
    buy = replace(builders.result(BTC, Side.BUY, 2, 100), seq=1)
    first = replace(builders.result(BTC, Side.SELL, 1, 100), seq=2)
    paid = RecordedPayment(3, payment(BTC, "-0.5"))
    second = replace(builders.result(BTC, Side.SELL, 1, 100), seq=4)
    late = RecordedPayment(5, payment(BTC, "-7"))
    projector, rows = OrderProjector(), OrderRows()

    projector.fold([builders.run_started(), buy], [], rows)
    if restart:
        kept, projector = projector.snapshot(), OrderProjector()
        projector.restore(kept)
    projector.fold([first, second], [paid, late], rows)

    funding = [dict(zip(TRADES, row, strict=True))["funding"] for row in rows.trades]
    assert funding == [0, Decimal("-0.5")]


def payment(symbol: str, amount: str) -> FundingPayment:
    plain = dict.fromkeys(FundingPayment.__struct_fields__, Decimal(1))
    return FundingPayment(**plain | {"symbol": symbol, "amount": Decimal(amount)})  # type: ignore[arg-type]
