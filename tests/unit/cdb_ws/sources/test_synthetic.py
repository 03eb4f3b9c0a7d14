"""The seeded market."""

from itertools import islice

import pytest

from services.cdb_ws.sources.synthetic import START_MS, Synthetic
from services.cdb_ws.sources.synthetic_paths import market
from services.kernel.events import Clock, Event, Instruments, MarketData, MarketDataKind
from services.kernel.events.codec import encode

pytestmark = pytest.mark.unit
RUN = "run"


def steps(count: int, *, seed: int = 7, after: int = 0, **options: object) -> list:
    return list(islice(Synthetic(RUN, seed, **options).steps(after), count))


def test_the_same_seed_gives_the_same_market_byte_for_byte() -> None:
    first, second = steps(3000), steps(3000)
    assert [encode(event) for _, event in first] == [encode(event) for _, event in second]
    assert [event for _, event in steps(3000, seed=8)] != [event for _, event in first]


def test_a_restart_goes_on_behind_any_step() -> None:
    every = steps(4000)
    for index in (0, 1, 17, 1600, 2222, 3998):
        cursor = every[index][0]
        assert steps(4000 - index - 1, after=cursor) == every[index + 1 :]


def test_cursors_increase_and_ids_are_unique() -> None:
    every = steps(5000)
    cursors = [cursor for cursor, _ in every]
    assert cursors == sorted(set(cursors))
    assert len({event.event_id for _, event in every}) == len(every)


def test_details_then_history_then_a_market_with_everything_in_it() -> None:
    every: list[Event] = [event for _, event in steps(12_000, lookback_minutes=5)]
    assert isinstance(every[0], Instruments)
    first_clock = next(n for n, event in enumerate(every) if isinstance(event, Clock))
    history = every[1:first_clock]
    assert history
    assert all(e.backfill and e.kind is MarketDataKind.TRADE for e in history)
    assert START_MS - 300_000 <= history[0].timestamp < history[-1].timestamp < START_MS
    assert every[first_clock].timestamp == START_MS
    live = every[first_clock:]
    kinds = {event.kind for event in live if isinstance(event, MarketData)}
    assert kinds == set(MarketDataKind) - {MarketDataKind.DEPTH}
    assert not any(event.backfill for event in live if isinstance(event, MarketData))


def test_prices_lie_on_ticks_and_quotes_are_never_crossed() -> None:
    symbols = ("BTC_USDT", "DOGE_USDT", "UNKNOWN_USDT")
    source = Synthetic(RUN, 3, symbols)
    ticks = {contract.symbol: contract for contract in source.contracts}
    for _, event in islice(source.steps(0), 5000):
        if not isinstance(event, MarketData):
            continue
        contract = ticks[event.symbol]
        for price in (event.price, event.bid, event.ask, event.mark_price, event.index_price):
            assert price is None or (price > 0 and price % contract.tick_size == 0)
        for size in (event.volume, event.bid_size, event.ask_size):
            assert size is None or (size > 0 and size % contract.lot_size == 0)
        if event.kind is MarketDataKind.QUOTE:
            assert event.bid < event.ask


def test_time_never_goes_back_and_every_symbol_speaks_often() -> None:
    clock, spoken = 0, {}
    for _, event in islice(Synthetic(RUN, 1, lookback_minutes=1).steps(0), 20_000):
        if isinstance(event, Clock):
            assert clock < event.timestamp <= clock + 15_000 or not clock
            clock = event.timestamp
        elif isinstance(event, MarketData) and not event.backfill:
            assert clock <= event.timestamp < clock + 1000
            assert event.timestamp - spoken.get(event.symbol, event.timestamp) <= 10_000
            spoken[event.symbol] = event.timestamp


def test_an_unknown_symbol_gets_a_market_from_its_name() -> None:
    assert market("FOO_USDT") == market("FOO_USDT") != market("BAR_USDT")
    assert market("FOO_USDT").base_price > market("FOO_USDT").tick_size * 1000
