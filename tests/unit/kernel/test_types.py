"""What the type checker refuses: mixed units, an order without approval, a wrong handler."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy import api

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SNIPPET = """
from decimal import Decimal
from services.kernel.events import Clock, MarketData, Order, Signal
from services.kernel.execution.approval import Approval, ApprovedOrder
from services.kernel.execution.open_orders import FillDesk
from services.kernel.handlers import on, table
from services.kernel.instruments.contracts import Instrument
from services.kernel.units import Contracts, Notional, Price, Quantity

def units(contract: Instrument, price: Price, base: Quantity, counted: Contracts) -> None:
    right: Quantity = contract.volume_in_base(counted, price)
    back: Contracts = contract.volume_in_contracts(right, price)
    contract.volume_in_base(base, price)  # wrong
    contract.volume_in_base(counted, base)  # wrong
    contract.volume_in_contracts(back, price)  # wrong
    contract.volume_in_base(Decimal(1), price)  # wrong
    notional: Notional = base * price  # wrong
    same: Quantity = counted  # wrong

def orders(desk: FillDesk, order: Order, approval: Approval) -> None:
    desk.accept(ApprovedOrder(order, approval))
    desk.accept(order)  # wrong
    ApprovedOrder(order)  # wrong

def on_clock(clock: Clock) -> None: ...
def on_signal(signal: Signal) -> None: ...

handlers = table(on(Clock, on_clock), on(Signal, on_signal))
on(MarketData, on_clock)  # wrong
"""


@pytest.fixture(autouse=True)
def _recursion_limit() -> Iterator[None]:
    """Mypy raises it for its whole process; other tests look at what happens at the usual one."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


def test_mypy_refuses_each_wrong_line_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET, "utf-8")

    out, problem, _ = api.run(["--strict", "--follow-imports=silent", str(snippet)])

    wrong = {at for at, line in enumerate(SNIPPET.split("\n"), 1) if line.endswith("# wrong")}
    assert (problem, len(wrong)) == ("", 9)
    errors = [line.partition(": error:")[0] for line in out.splitlines() if ": error:" in line]
    found = {int(place.rpartition(":")[2]) for place in errors}
    assert found == wrong, out
