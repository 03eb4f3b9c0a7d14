"""Market data by hand."""

import json
from decimal import Decimal

import pytest

from services.cdb_ws.sources.external import ExternalMarket, fine_tick
from services.kernel.events import Instruments, MarketData
from services.kernel.instruments.contracts import generic_instrument
from services.runtime.bus.subscription import ExternalMessage
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.intake.external import InvalidMessageError

pytestmark = pytest.mark.unit
NOW = 1_700_000_000_000
RUN = LoopContext(run_id="run")


def market(*, is_open: bool = True) -> ExternalMarket:
    made = ExternalMarket("epoch:1", {}, lambda: NOW)
    if is_open:
        made.begin((), 0)
    return made


def message(topic: str = "market_data", **fields: object) -> ExternalMessage:
    return ExternalMessage(
        topic, json.dumps({"symbol": "btcusdt", "price": 50, "volume": 1} | fields).encode()
    )


def test_a_symbols_contract_is_reported_before_its_first_tick_only() -> None:
    made = market()
    made.put(message(), RUN)
    made.put(message(price=51), RUN)
    contract, first, second = made.take()
    assert isinstance(contract, Instruments)
    assert contract.instruments[0].symbol == "BTC_USDT"
    assert contract.instruments[0].generic
    assert [t.price for t in (first, second) if isinstance(t, MarketData)] == [50, 51]
    assert first.external
    assert first.timestamp == NOW
    assert made.take() == []


def test_a_repeated_trade_id_is_refused() -> None:
    made = market()
    made.put(message(trade_id=7), RUN)
    made.put(message(trade_id=7, symbol="ETHUSDT"), RUN)
    made.put(message(trade_id=7, source="other"), RUN)
    with pytest.raises(InvalidMessageError, match="trade 7 was accepted before"):
        made.put(message(trade_id="7"), RUN)
    assert made.taken == 3


def test_how_old_a_message_may_be_is_the_runs_stale_timeout() -> None:
    made = market()
    context = LoopContext(run_id="run", behind_ms=10_000)
    made.put(message(timestamp=NOW - 10_000), context)
    with pytest.raises(InvalidMessageError, match="10001 ms from the present"):
        made.put(message(timestamp=NOW - 10_001), context)


def test_known_details_are_reported_instead_of_generic_ones() -> None:
    known = generic_instrument("BTC_USDT", Decimal("0.5"))
    made = ExternalMarket("e", {"BTC_USDT": known}, lambda: NOW)
    made.begin((), 0)
    made.put(message(), RUN)
    assert made.take()[0].instruments == (known,)  # type: ignore[attr-defined]


def test_another_runs_market_takes_nothing_from_outside() -> None:
    with pytest.raises(InvalidMessageError, match="not external"):
        market(is_open=False).put(message(), RUN)
    with pytest.raises(InvalidMessageError, match="before a run"):
        market(is_open=False).put(message(), LoopContext())
    with pytest.raises(InvalidMessageError, match="has ended"):
        market().put(message(), LoopContext(run_id="run", run_ended=True))
    with pytest.raises(InvalidMessageError, match="takes nothing"):
        market().put(message(topic="clock"), RUN)


@pytest.mark.parametrize(
    ("price", "tick"),
    [("50000", "1"), ("50000.25", "0.01"), ("100", "0.01"), ("0.000012553", "1E-9"),
     ("1", "0.0001")],
)  # fmt: skip
def test_the_step_of_one_known_price_is_fine_enough(price: str, tick: str) -> None:
    assert fine_tick(Decimal(price)) == Decimal(tick)
