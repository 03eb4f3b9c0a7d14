"""Margin, liquidation and funding: the venue's formulas, with its worked example."""

from decimal import Decimal

import pytest

from services.kernel.events import Side
from services.kernel.instruments import perpetuals
from services.kernel.instruments.contracts import MarginTier, generic_instrument
from services.kernel.units import Contracts, Price
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.candidates import candidate

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FEE = Decimal("0.0004")


def btc_usdt() -> builders.Instrument:
    """BTC_USDT as MEXC documents it: a contract is 0.0001 BTC, tiers by contracts."""
    tiers = (
        (50_000, "0.001", 500),
        (60_000, "0.004", 200),
        (250_000, "0.005", 100),
        (1_200_000, "0.01", 50),
        (3_000_000, "0.02", 20),
        (4_500_000, "0.05", 10),
    )
    return builders.instrument(
        BTC,
        contract_size=Decimal("0.0001"),
        lot_size=Decimal("0.0001"),
        tick_size=Decimal("0.1"),
        tiers=tuple(
            MarginTier(
                max_quantity=Decimal(contracts) * Decimal("0.0001"),
                maintenance_margin_rate=Decimal(rate),
                max_leverage=Decimal(leverage),
            )
            for contracts, rate, leverage in tiers
        ),
    )


def test_the_worked_example_of_the_protocol() -> None:
    # BTC_USDT long 1,000 contracts (0.1 BTC) at 84,000, 20x isolated.
    contract = btc_usdt()
    size, entry = 1_000 * contract.contract_size, Decimal(84_000)
    notional = size * contract.unit_value(entry)
    margin = notional / 20
    rate = contract.tier(size).maintenance_margin_rate

    assert (size, notional, margin) == (Decimal("0.1"), 8_400, 420)
    assert notional * rate == Decimal("8.4")
    assert perpetuals.liquidation_price(size, entry, margin, rate) == 79_884
    assert perpetuals.bankruptcy_price(size, entry, margin) == 79_800
    assert notional * contract.taker_fee_rate == Decimal("6.72")


def test_the_liquidation_fee_brings_liquidation_nearer() -> None:
    # (8.4 - 420 + 8400) / (0.1 x (1 - 0.0004)); short (8400 - 8.4 + 420) / (0.1 x (1 + 0.0004))
    terms = (Decimal(84_000), Decimal(420), Decimal("0.001"))

    long = perpetuals.liquidation_price(Decimal("0.1"), *terms, liquidation_fee_rate=FEE)
    short = perpetuals.liquidation_price(Decimal("-0.1"), *terms, liquidation_fee_rate=FEE)

    assert long == pytest.approx(Decimal("79915.966"), abs=Decimal("0.001"))
    assert short == pytest.approx(Decimal("88080.767"), abs=Decimal("0.001"))


def test_inverse_liquidation_by_hand() -> None:
    # 100,000 USD at 10,000 is 10 BTC; 10x: margin 1 BTC, maintenance 0.05 BTC.
    terms = (Decimal(10_000), Decimal(1), Decimal("0.005"))
    face = Decimal(100_000)

    # Long loses 0.95 BTC where 100,000 / p = 10.95; short where it is 9.05.
    assert perpetuals.liquidation_price(face, *terms, inverse=True) == face / Decimal("10.95")
    assert perpetuals.liquidation_price(-face, *terms, inverse=True) == face / Decimal("9.05")
    assert perpetuals.bankruptcy_price(face, *terms[:2], inverse=True) == face / 11
    with_fee = perpetuals.liquidation_price(face, *terms, liquidation_fee_rate=FEE, inverse=True)
    assert with_fee == face * (1 + FEE) / Decimal("10.95")


@pytest.mark.parametrize(
    ("leverage", "long", "inverse", "distance"),
    [
        ("3", True, False, "0.328333"),
        ("3", False, False, "0.328333"),
        ("10", True, False, "0.095"),
        ("3", True, True, "0.247177"),  # 1 - 1 / (1 + 1/3 - 0.005)
        ("3", False, True, "0.488834"),  # 1 / (1 - 1/3 + 0.005) - 1
        ("1", True, False, "0.995"),
    ],
)
def test_the_distance_of_liquidation_by_kind_and_side(
    leverage: str, long: bool, inverse: bool, distance: str
) -> None:
    found = perpetuals.liquidation_distance(
        Decimal(leverage), Decimal("0.005"), long=long, inverse=inverse
    )

    assert found == pytest.approx(Decimal(distance), abs=Decimal("1e-6"))


def test_an_inverse_short_without_leverage_cannot_be_liquidated() -> None:
    # What it may lose, the coins it is worth, is what it has put down, less nothing.
    price = perpetuals.liquidation_price(
        Decimal(-1_000), Decimal(100), Decimal(20), Decimal("0.005"), inverse=True
    )

    assert price is None
    assert perpetuals.liquidation_distance(
        Decimal("0.5"), Decimal("0.005"), long=False, inverse=True
    ) == Decimal(1)


@pytest.mark.parametrize("quantity", ["0.5", "100"])
@pytest.mark.parametrize(("side", "distance"), [(Side.BUY, "0.247177"), (Side.SELL, "0.488834")])
def test_a_small_position_is_as_far_from_liquidation_as_a_large_one(
    quantity: str, side: Side, distance: str
) -> None:
    contract = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)

    found = candidate(instrument=contract, side=side, quantity=quantity).liquidation_distance

    assert found == pytest.approx(Decimal(distance), abs=Decimal("1e-6"))


def test_a_long_with_more_margin_than_value_cannot_be_liquidated() -> None:
    rate = Decimal("0.005")

    for margin in ("150", "100.5"):  # at 100.5 it would be at a price of 0
        price = perpetuals.liquidation_price(Decimal(1), Decimal(100), Decimal(margin), rate)
        assert price is None
    assert perpetuals.liquidation_price(Decimal(1), Decimal(100), Decimal("100.49"), rate) == (
        Decimal("0.01")
    )


@pytest.mark.parametrize(
    ("quantity", "inverse", "expected"),
    [
        # 50 + (p - 100) x 10 = 5 + 0.0004 x 10 p
        ("10", False, "95.538215"),
        ("-10", False, "104.458217"),
        # 1000 at 100 is 10 coins: 50 + 10 p - 1000 = 0.05 p + 0.4
        ("1000", True, "95.517588"),
        # 50 + 1000 - 10 p = 0.05 p + 0.4
        ("-1000", True, "104.437811"),
    ],
)
def test_with_cross_margin_the_account_stands_for_the_margin(
    quantity: str, inverse: bool, expected: str
) -> None:
    price = perpetuals.cross_liquidation_price(
        Decimal(quantity),
        Decimal(100),
        Decimal(50),
        Decimal("0.005"),
        liquidation_fee_rate=FEE,
        inverse=inverse,
    )

    assert price == pytest.approx(Decimal(expected), abs=Decimal("1e-6"))


def test_an_account_larger_than_the_position_is_not_liquidated_by_it() -> None:
    terms = (Decimal(100), Decimal(5_000), Decimal("0.005"))

    assert perpetuals.cross_liquidation_price(Decimal(10), *terms) is None
    assert perpetuals.cross_liquidation_price(Decimal(1_000), *terms, inverse=True) is None


def test_the_tier_is_the_first_that_holds_the_position() -> None:
    contract = btc_usdt()

    def rate(quantity: str) -> Decimal:
        return contract.tier(Decimal(quantity)).maintenance_margin_rate

    assert rate("0.1") == rate("5") == rate("-5") == Decimal("0.001")
    assert rate("5.0001") == rate("-6") == Decimal("0.004")
    assert rate("450") == rate("10000") == Decimal("0.05")
    assert contract.tier(Decimal(400)).max_leverage == 10


def test_a_contract_without_tiers_has_one() -> None:
    tier = builders.instrument().tier(Decimal(-7))

    assert (tier.maintenance_margin_rate, tier.max_leverage) == (Decimal("0.005"), 10)
    assert tier.max_quantity == 7


def test_what_lies_above_the_lower_tier_is_reduced_first() -> None:
    contract = btc_usdt()

    assert contract.above_lower_tier(Decimal("-5.5")) == Decimal("0.5")
    assert contract.above_lower_tier(Decimal(26)) == 1
    assert contract.above_lower_tier(Decimal(5)) == 5
    assert builders.instrument().above_lower_tier(Decimal(3)) == 3


def test_the_two_kinds_differ_in_what_a_unit_is_worth() -> None:
    linear = builders.instrument("BTC_USDT")
    inverse = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)
    price = Decimal(8_000)

    assert (linear.unit_value(price), inverse.unit_value(price)) == (8_000, 1)
    assert linear.base_quantity(Decimal(2), price) == 2
    assert inverse.base_quantity(Decimal(2_000), price) == Decimal("0.25")
    assert (linear.settle_currency, inverse.settle_currency) == ("USDT", "XBT")
    assert inverse.round_down_to_lot(Decimal("99.9")) == 99


def test_a_contract_without_details_says_so_and_trades_the_smallest_lots() -> None:
    linear = generic_instrument("BTC_USDT", Decimal("0.5"))
    inverse = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)

    assert linear.generic
    assert inverse.generic
    assert linear.round_down_to_lot(Decimal("0.123456789")) == Decimal("0.12345678")
    assert inverse.round_down_to_lot(Decimal("1.9")) == 1


@pytest.mark.parametrize("contracts", ["1", "7", "123456"])
@pytest.mark.parametrize("price", ["0.05", "3", "8131.5"])
def test_volume_in_contracts_survives_the_way_to_base_and_back(contracts: str, price: str) -> None:
    linear = builders.instrument(contract_size=Decimal("0.0001"))
    inverse = builders.instrument(contract_size=Decimal(100), inverse=True)
    given, at = Contracts(Decimal(contracts)), Price(Decimal(price))

    assert linear.volume_in_base(given, at) == given / 10_000
    assert inverse.volume_in_base(given, at) == pytest.approx(given * 100 / at)
    for contract in (linear, inverse):
        assert contract.volume_in_contracts(contract.volume_in_base(given, at), at) == given
