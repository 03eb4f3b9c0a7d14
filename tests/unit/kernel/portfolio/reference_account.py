"""A second, plain accounting of perpetual contracts, to hold the kernel's against.

Written from the exchange's documentation, in exact fractions and in settle currency, with nothing
of the kernel in it: fills are kept one by one and averaged when asked for.

- Profit of a linear contract: (exit - entry) x contracts x contract size x direction, in quote.
- Profit of an inverse one: contracts x contract size x (1 / entry - 1 / exit) x direction, in base.
- Average entry: linear, total value over total size; inverse, total size over total value in base.
- Fee: value x rate. Funding: value at the fair price x rate, longs pay while the rate is positive.
- Initial margin: value at entry / leverage. Maintenance margin: value at entry x rate.
"""

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Contract:
    """Kind, and margin rates."""

    inverse: bool
    leverage: Fraction = Fraction(3)
    maintenance_rate: Fraction = Fraction("0.005")
    liquidation_fee_rate: Fraction = Fraction("0.0004")

    def value(self, size: Fraction, price: Fraction) -> Fraction:
        """In settle currency; ``size`` is contracts x contract size."""
        return size / price if self.inverse else size * price

    def profit(self, size: Fraction, entry: Fraction, exit_price: Fraction) -> Fraction:
        """In settle currency; ``size`` is negative for a short position."""
        if self.inverse:
            return size * (1 / entry - 1 / exit_price)
        return size * (exit_price - entry)

    def in_quote(self, amount: Fraction, price: Fraction) -> Fraction:
        """Settle currency in quote at a price."""
        return amount * price if self.inverse else amount


@dataclass
class Account:
    """One account in one contract; money in quote, converted when it is booked."""

    contract: Contract
    start: Fraction
    size: Fraction = Fraction(0)
    entry: Fraction = Fraction(0)
    realised: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    mark: Fraction = Fraction(1)
    closed: list[Fraction] = field(default_factory=list)

    def fill(self, size: Fraction, price: Fraction, fee_rate: Fraction) -> None:
        """Trade ``size`` (negative sells) at a price."""
        contract = self.contract
        self.fees += contract.in_quote(contract.value(abs(size), price) * fee_rate, price)
        if self.size * size < 0:
            part = min(abs(size), abs(self.size)) * (1 if self.size > 0 else -1)
            gained = contract.profit(part, self.entry, price)
            self.closed.append(gained)
            self.realised += contract.in_quote(gained, price)
            self.size -= part
            size += part
        if size:
            together = contract.value(abs(self.size), self.entry) if self.size else Fraction(0)
            together += contract.value(abs(size), price)
            self.size += size
            total = abs(self.size)
            self.entry = total / together if contract.inverse else together / total

    def settle(self, rate: Fraction) -> None:
        """Pay or receive funding at the fair price."""
        contract = self.contract
        value = contract.value(self.size, self.mark) if self.size else Fraction(0)
        self.funding -= contract.in_quote(value * rate, self.mark)

    @property
    def unrealised(self) -> Fraction:
        if not self.size:
            return Fraction(0)
        gained = self.contract.profit(self.size, self.entry, self.mark)
        return self.contract.in_quote(gained, self.mark)

    @property
    def equity(self) -> Fraction:
        return self.start + self.realised + self.unrealised - self.fees + self.funding

    @property
    def initial_margin(self) -> Fraction:
        """In settle currency."""
        return self.contract.value(abs(self.size), self.entry) / self.contract.leverage

    @property
    def least(self) -> Fraction | None:
        """The least that an isolated position is valued at, in quote; None where nothing bounds it.

        Minus its margin; an inverse contract's margin is coins, at the price that uses them up.
        """
        margin = self.initial_margin
        if not self.contract.inverse:
            return -margin
        per_coin = 1 / self.entry + margin / self.size
        return -margin / per_coin if per_coin > 0 else None

    @property
    def margin_left(self) -> Fraction:
        """Position margin + profit - maintenance margin - liquidation fee, in settle currency.

        The venue liquidates where this is not above zero any more.
        """
        contract = self.contract
        gained = contract.profit(self.size, self.entry, self.mark)
        maintenance = contract.value(abs(self.size), self.entry) * contract.maintenance_rate
        fee = contract.value(abs(self.size), self.mark) * contract.liquidation_fee_rate
        return self.initial_margin + gained - maintenance - fee
