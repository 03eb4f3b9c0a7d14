"""Units: prices, quantities and amounts that mypy keeps apart; constants of money and time."""

from decimal import Decimal
from typing import Final, NewType

Price = NewType("Price", Decimal)
"""Quote currency per unit of base."""
Quantity = NewType("Quantity", Decimal)
"""Base currency."""
Contracts = NewType("Contracts", Decimal)
"""What a venue counts: a number of contracts, each of ``contract_size`` units."""
Notional = NewType("Notional", Decimal)
"""Value in quote currency."""

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
BPS: Final = Decimal(10_000)
"""Basis points of one whole."""

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
