"""What the account holds and awaits elsewhere, and what the limits on it leave for an entry."""

from decimal import Decimal

import pytest

from services.kernel.events import Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.risk.exposure import OtherExposure, headrooms, other_exposure
from services.kernel.risk.state.correlation import MinuteCloses
from services.kernel.risk.state.risk_state import PendingOrder, RiskState
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import BTC, ETH, MINUTE_MS, NOON, SOL, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
ONE = Decimal(1)


class Held:
    """An account, each contract at 100; all move alike, ``against`` the other way round."""

    def __init__(self, against: tuple[str, ...] = (), **positions: Number) -> None:
        opening = [
            builders.opening_position(symbol, quantity, 100, inverse=symbol == XBT)
            for symbol, quantity in positions.items()
        ]
        self.portfolio = Portfolio()
        self.portfolio.apply(builders.run_started(opening=builders.account(positions=opening)))
        self.state = RiskState(instruments={s: builders.instrument(s) for s in (BTC, ETH, SOL)})
        self.state.instruments[XBT] = generic_instrument(XBT, Decimal("0.5"), inverse=True)
        for symbol in (BTC, ETH, SOL, XBT):
            closes = MinuteCloses()
            for minute in range(61):
                moved = (ONE + Decimal(minute * minute % 7) / 1000) ** (
                    -1 if symbol in against else 1
                )
                closes.add(NOON + minute * MINUTE_MS, 100 * moved)
            self.state.symbol_health(symbol).closes = closes

    def awaits(
        self, symbol: str, side: Side, quantity: Number, price: Number = 100, **fields: bool
    ) -> "Held":
        self.state.pending[f"order-{len(self.state.pending)}"] = PendingOrder(
            symbol=symbol,
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            **{"reduce_only": False, **fields},
        )
        return self

    def seen_from(
        self, symbol: str = BTC, side: Side = Side.BUY, threshold: str = "1"
    ) -> OtherExposure:
        return other_exposure(self.state, self.portfolio, symbol, side, Decimal(threshold))


# Gross


@pytest.mark.parametrize(
    ("held", "buys", "sells", "worst"),
    [
        (10, 0, 0, 10),
        (10, 5, 0, 15),
        (10, 0, 5, 10),  # the sale may not fill
        (10, 0, 30, 20),  # or fill in whole, and leave a short
        (-10, 0, 5, 15),
        (-10, 30, 0, 20),
        (0, 7, 4, 7),
    ],
)
def test_another_symbol_counts_with_the_worst_of_what_may_be_filled(
    held: int, buys: int, sells: int, worst: int
) -> None:
    account = Held(**({ETH: held} if held else {}))
    for side, quantity in ((Side.BUY, buys), (Side.SELL, sells)):
        if quantity:
            account.awaits(ETH, side, quantity)

    assert account.seen_from().gross == worst * 100


@pytest.mark.parametrize("side", list(Side))
def test_all_orders_of_one_side_add_up(side: Side) -> None:
    account = Held().awaits(ETH, side, 3).awaits(ETH, side, 4)

    assert account.seen_from().gross == 700


def test_the_candidate_s_own_symbol_is_not_elsewhere_and_exits_alone_are_nothing() -> None:
    account = Held(**{BTC: 10}).awaits(BTC, Side.BUY, 5).awaits(ETH, Side.SELL, 5, reduce_only=True)

    assert account.seen_from() == OtherExposure(gross=Decimal(0), correlated=Decimal(0), alike={})


def test_without_a_mark_price_the_highest_order_price_counts() -> None:
    account = Held().awaits(ETH, Side.BUY, 1, 90).awaits(ETH, Side.BUY, 1, 95)

    assert account.seen_from().gross == 2 * 95


def test_an_inverse_contract_counts_with_its_face_value() -> None:
    assert Held(**{XBT: 500}).seen_from().gross == 500


# What moves alike


@pytest.mark.parametrize(
    ("held", "side", "together"),
    [
        ("10", Side.BUY, 1000),
        ("10", Side.SELL, 0),
        ("-10", Side.SELL, 1000),
        ("-10", Side.BUY, 0),
        ("0.5", Side.BUY, 50),
    ],
)
def test_the_same_bet_counts_and_the_opposite_one_does_not(
    held: str, side: Side, together: int
) -> None:
    found = Held(**{ETH: held}).seen_from(side=side)

    assert found.correlated == together
    assert found.alike == ({ETH: 1} if together else {})


def test_what_moves_the_other_way_round_is_the_same_bet_on_the_other_side() -> None:
    account = Held(against=(ETH,), **{ETH: -10})

    assert account.seen_from(side=Side.BUY, threshold="0.99").correlated == 1000
    assert account.seen_from(side=Side.SELL, threshold="0.99").correlated == 0


def test_everything_alike_adds_up_and_what_waits_counts_as_filled() -> None:
    account = Held(**{ETH: 10, SOL: 5}).awaits(SOL, Side.BUY, 2).awaits(SOL, Side.SELL, 1)

    found = account.seen_from()

    assert (found.gross, found.correlated) == (1700, 1700)
    assert found.alike == {ETH: 1, SOL: 1}


def test_a_symbol_that_only_waits_to_sell_is_no_bet_on_a_rise() -> None:
    found = Held().awaits(ETH, Side.SELL, 3).seen_from(side=Side.BUY)

    assert (found.gross, found.correlated, found.alike) == (300, 0, {})


def test_below_the_threshold_nothing_is_alike() -> None:
    account = Held(**{ETH: 10})
    stranger = account.state.symbol_health(ETH).closes = MinuteCloses()
    for minute in range(61):
        stranger.add(NOON + minute * MINUTE_MS, Decimal(100 + minute % 3))

    found = account.seen_from(threshold="0.5")

    assert (found.gross, found.correlated, found.alike) == (1000, 0, {})


# Headrooms


def rooms(gross: Number, correlated: Number, position: Number = 0, side: Side = Side.BUY) -> object:
    others = OtherExposure(gross=Decimal(gross), correlated=Decimal(correlated), alike={})
    settings = {
        "MAX_TOTAL_EXPOSURE_PCT": "0.3",
        "MAX_CORRELATED_EXPOSURE_PCT": "0.2",
        "MAX_POSITION_PCT": "0.1",
    }
    found = headrooms(
        settings=TradingSettings.parse(settings)[0],
        equity=Decimal(10_000),
        unit_value=Decimal(50),
        side=side,
        position=Decimal(position),
        others=others,
        traded=Decimal(800),
    )
    return [(room.name, room.quantity) for room in found]


def test_every_limit_leaves_what_is_not_taken_yet_the_lower_layer_first() -> None:
    assert rooms(gross=1_000, correlated=500, position=4) == [
        ("4 total_exposure", (3_000 - 1_000) / 50 - 4),
        ("4 correlated_exposure", (2_000 - 500) / 50 - 4),
        ("5 position", 1_000 / 50 - 4),
        ("5 volume_share", 80 - 4),
    ]


def test_an_opposite_entry_uses_the_position_up_first() -> None:
    assert rooms(gross=1_000, correlated=500, position=4, side=Side.SELL) == [
        ("4 total_exposure", 44),
        ("4 correlated_exposure", 34),
        ("5 position", 24),
        ("5 volume_share", 84),
    ]


@pytest.mark.parametrize(("correlated", "limits"), [("0", 3), ("0.5", 4)])
def test_the_limit_on_what_moves_alike_counts_where_something_does(
    correlated: str, limits: int
) -> None:
    assert len(rooms(gross=1_000, correlated=correlated)) == limits  # type: ignore[arg-type]
