"""A symbol with an open position never loses its market data: its stop would be blind."""

import asyncio
from random import Random

import pytest

from services.cdb_ws.live.universe import Universe
from services.kernel.events import MarketDataKind
from services.lab.soak import virtual_time
from services.venues.mexc.contracts import ContractBook
from services.venues.mexc.rest import MexcRest
from tests.unit.cdb_ws.live.fake_venue import NOW, FakeVenue, Scene, play

pytestmark = pytest.mark.unit
HOUR_S = 100


@pytest.fixture(autouse=True)
def short_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cdb_ws.live.instrument_provider.EVERY_S", HOUR_S)


async def until_listened_to(scene: Scene, *symbols: str, seconds: float = 15) -> None:
    """Wait until exactly these symbols are subscribed."""
    async with asyncio.timeout(seconds):
        while set(scene.engine.feeds) != set(symbols):
            await asyncio.sleep(0.05)


async def keep_speaking(scene: Scene, seconds: int) -> None:
    """Let every symbol that is subscribed say its fair price once a second."""
    for _ in range(seconds):
        alive = [one for one in scene.venue.connections if not one.closed]
        for symbol in scene.engine.feeds:
            if any(symbol in one.asked("fair.price") for one in alive):
                scene.venue.mark(symbol)
        await asyncio.sleep(1)


def universe_of(venue: FakeVenue, named: tuple[str, ...], held: set[str]) -> Universe:
    rest = MexcRest(venue, ["http://venue"], Random(1))  # noqa: S311 - jitter
    return Universe(rest, ContractBook(rest, None), named, 1, (), lambda: held)


@pytest.mark.parametrize("named", [("A_USDT",), ()], ids=["whitelist", "movers"])
def test_what_is_held_is_always_chosen(named: tuple[str, ...]) -> None:
    held: set[str] = {"B_USDT", "GONE_USDT"}

    async def program() -> None:
        universe = universe_of(FakeVenue(["A_USDT", "B_USDT"]), named, held)
        assert universe.unlisted() == []
        await universe.book.refresh(NOW)
        for _ in range(4):
            await universe.evaluate()
            assert list(universe.symbols) == ["A_USDT", "B_USDT"]
            assert universe.chosen == ("A_USDT",)  # which is all that may be entered
            assert universe.unlisted() == ["GONE_USDT"]
        # When nothing is held any more, it goes
        held.clear()
        await universe.evaluate()
        assert list(universe.symbols) == ["A_USDT"]
        # And comes back as soon as it is held again
        held.add("B_USDT")
        assert universe.include_held()
        assert not universe.include_held()
        assert list(universe.symbols) == ["A_USDT", "B_USDT"]

    virtual_time.run(program(), limit_s=10)


def test_what_is_held_is_chosen_also_while_the_movers_are_unknown() -> None:
    async def program() -> None:
        venue = FakeVenue(["A_USDT", "B_USDT"])
        universe = universe_of(venue, (), {"B_USDT"})
        await universe.book.refresh(NOW)
        venue.rest_away = True
        await universe.evaluate()
        assert universe.symbols == ("B_USDT",)
        assert universe.chosen == ()
        assert universe.problem

    virtual_time.run(program(), limit_s=10)


def test_after_a_restart_without_movers_what_is_held_is_not_taken_for_one() -> None:
    async def program() -> None:
        venue = FakeVenue(["A_USDT", "B_USDT"])
        rest = MexcRest(venue, ["http://venue"], Random(1))  # noqa: S311 - jitter
        known = ("A_USDT", "B_USDT")
        universe = Universe(rest, ContractBook(rest, None), (), 1, known, lambda: {"B_USDT"})
        await universe.book.refresh(NOW)
        venue.rest_away = True
        await universe.evaluate()
        assert universe.symbols == known
        assert universe.chosen == ("A_USDT",)

    virtual_time.run(program(), limit_s=10)


def test_what_may_be_entered_is_reported_with_the_contracts_and_whenever_it_changes() -> None:
    held: set[str] = {"B_USDT"}

    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT", "B_USDT")
        await keep_speaking(scene, 2 * HOUR_S)
        scene.venue.movers = ["C_USDT", "A_USDT", "B_USDT"]
        await keep_speaking(scene, 2 * HOUR_S)
        held.clear()
        await keep_speaking(scene, HOUR_S + 5)

    venue = FakeVenue(["A_USDT", "B_USDT", "C_USDT"])
    received = play(program, venue, held=lambda: held, symbols=(), top_n=1)

    # Held, it is listened to; a mover that is one no more leaves an hour later than it came.
    assert received.instruments() == [["A_USDT", "B_USDT"], ["C_USDT"], []]
    assert received.universes() == [("A_USDT",), ("A_USDT", "C_USDT"), ("C_USDT",)]


def test_a_mover_that_is_held_stays_until_it_is_closed() -> None:
    held: set[str] = {"B_USDT"}

    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT", "B_USDT")
        scene.venue.movers = ["C_USDT", "A_USDT", "B_USDT"]
        await keep_speaking(scene, 4 * HOUR_S)
        assert set(scene.engine.feeds) == {"A_USDT", "B_USDT", "C_USDT"}
        # Then its prices still come
        assert scene.received.ticks(MarketDataKind.MARK, "B_USDT")[-1].timestamp > NOW + 395_000
        # When it is closed, it goes with the next evaluations
        held.clear()
        await keep_speaking(scene, 2 * HOUR_S + 5)
        assert set(scene.engine.feeds) == {"A_USDT", "C_USDT"}

    venue = FakeVenue(["A_USDT", "B_USDT", "C_USDT"])
    received = play(program, venue, held=lambda: held, symbols=(), top_n=2)
    assert received.gaps("B_USDT") == []


def test_a_position_carried_over_is_listened_to_beside_the_whitelist() -> None:
    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT", "OLD_USDT")
        await asyncio.sleep(1)
        scene.venue.mark("OLD_USDT")
        await asyncio.sleep(0.1)
        assert scene.engine.troubles() == []

    venue = FakeVenue(["A_USDT", "OLD_USDT"])
    received = play(program, venue, held=lambda: {"OLD_USDT"}, symbols=("A_USDT",))
    assert received.instruments() == [["A_USDT", "OLD_USDT"]]
    assert len(received.ticks(MarketDataKind.MARK, "OLD_USDT")) == 1


def test_a_position_that_appears_is_listened_to_at_once_without_choosing_again() -> None:
    held: set[str] = set()

    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT")
        await asyncio.sleep(HOUR_S / 2)
        held.add("B_USDT")
        await until_listened_to(scene, "A_USDT", "B_USDT", seconds=2)

    venue = FakeVenue(["A_USDT", "B_USDT"])
    play(program, venue, held=lambda: held, symbols=(), top_n=1)
    assert len([path for _, path in venue.asked if path.startswith("detail")]) == 1


def test_a_position_whose_contract_is_gone_is_reported_and_its_stream_is_kept() -> None:
    held = {"B_USDT"}

    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT", "B_USDT")
        listed = scene.venue.details.pop("B_USDT")
        await keep_speaking(scene, HOUR_S + 5)
        # Then it is named, and what its stream still says is used
        assert set(scene.engine.feeds) == {"A_USDT", "B_USDT"}
        [trouble] = scene.engine.troubles()
        assert "a position is open in B_USDT, which MEXC has delisted" in trouble
        assert scene.received.alerts("POSITION_UNLISTED")[0] == "BEGAN"
        assert scene.received.ticks(MarketDataKind.MARK, "B_USDT")[-1].timestamp > NOW + 100_000
        # When it is listed again, that is over
        scene.venue.details["B_USDT"] = listed
        await keep_speaking(scene, HOUR_S)
        assert scene.engine.troubles() == []
        assert scene.received.alerts("POSITION_UNLISTED")[-1] == "CLEARED"

    received = play(program, FakeVenue(["A_USDT", "B_USDT"]), held=lambda: held)
    assert received.gaps("B_USDT") == []


def test_a_position_without_any_contract_is_named_until_it_is_closed() -> None:
    held = {"GONE_USDT"}

    async def program(scene: Scene) -> None:
        await until_listened_to(scene, "A_USDT")
        await keep_speaking(scene, 2)
        [trouble] = scene.engine.troubles()
        assert "GONE_USDT, whose contract is unknown" in trouble
        held.clear()
        await keep_speaking(scene, 2)
        assert scene.engine.troubles() == []

    received = play(program, FakeVenue(["A_USDT"]), held=lambda: held)
    assert received.alerts("POSITION_UNLISTED") == ["BEGAN", "CLEARED"]
