"""Contract details: the venue's, the kept ones, the shipped ones; and which symbols are chosen."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from services.cdb_ws.live.universe import Universe
from services.lab.soak import virtual_time
from services.venues.mexc.contracts import CACHE_NAME, SHIPPED, ContractBook, Origin
from services.venues.mexc.rest import MexcRest
from services.venues.mexc.rest_messages import decode_details
from tests.unit.cdb_ws.live.fake_venue import NOW, FakeVenue

pytestmark = pytest.mark.unit


def book_of(venue: FakeVenue, cache: Path | None = None) -> ContractBook:
    return ContractBook(MexcRest(venue, ["http://venue"], Random(1)), cache)  # noqa: S311 - jitter


def refreshed(venue: FakeVenue, cache: Path | None = None) -> ContractBook:
    async def program() -> ContractBook:
        book = book_of(venue, cache)
        await book.refresh(NOW)
        return book

    return virtual_time.run(program(), limit_s=10)


def test_the_venues_answer_is_kept_and_used_when_it_does_not_answer(tmp_path: Path) -> None:
    # Given an answer
    first = refreshed(FakeVenue(["X_USDT", "Y_USDT"]), tmp_path / "cache")
    assert (first.origin, set(first.contracts)) == (Origin.VENUE, {"X_USDT", "Y_USDT"})
    # When the venue is away at the next start
    away = FakeVenue()
    away.rest_away = True
    second = refreshed(away, tmp_path / "cache")
    # Then the kept details are used, and their age is known
    assert (second.origin, second.contracts) == (Origin.CACHED, first.contracts)
    assert second.age_ms(NOW + 5_000) == 5_000
    assert "no route" in (second.problem or "")


def test_without_an_answer_and_without_kept_details_the_shipped_ones_are_marked_as_such() -> None:
    away = FakeVenue()
    away.rest_away = True
    book = refreshed(away)
    assert book.origin is Origin.SHIPPED
    assert "BTC_USDT" in book.contracts
    assert not book.contracts["BTC_USDT"].generic
    assert book.status(NOW)["age_ms"] is None


def test_the_shipped_details_can_be_read_whole() -> None:
    contracts, unreadable = decode_details(SHIPPED.read_bytes())
    assert contracts
    assert not unreadable


def test_kept_details_that_are_damaged_are_not_used(tmp_path: Path) -> None:
    (tmp_path / CACHE_NAME).write_text('{"success": true, "da')
    away = FakeVenue()
    away.rest_away = True
    assert refreshed(away, tmp_path).origin is Origin.SHIPPED


def test_a_folder_that_cannot_be_written_is_reported_and_does_not_stop_anything(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    book = refreshed(FakeVenue(["X_USDT"]), file / "cache")
    assert book.origin is Origin.VENUE
    assert "CDB_CACHE_DIR" in (book.problem or "")


def test_an_answer_that_is_no_answer_is_not_kept(tmp_path: Path) -> None:
    refreshed(FakeVenue(["X_USDT"]), tmp_path)
    kept = json.loads((tmp_path / CACHE_NAME).read_text())
    broken = FakeVenue(["X_USDT"])
    broken.details = {"X_USDT": {"state": "?"}}
    refreshed(broken, tmp_path)
    assert kept["data"][0]["symbol"] == "X_USDT"


def test_named_symbols_need_a_contract() -> None:
    async def program() -> Universe:
        book = book_of(FakeVenue(["X_USDT"]))
        await book.refresh(NOW)
        universe = Universe(book._rest, book, ("X_USDT", "NOPE_USDT"), 3, ())
        await universe.evaluate()
        return universe

    universe = virtual_time.run(program(), limit_s=10)
    assert (universe.symbols, universe.unknown) == (("X_USDT",), ("NOPE_USDT",))


def test_a_restart_keeps_the_symbols_of_the_run_where_the_movers_are_unknown() -> None:
    async def program() -> Universe:
        venue = FakeVenue(["A_USDT", "B_USDT"])
        book = book_of(venue)
        await book.refresh(NOW)
        venue.rest_away = True
        universe = Universe(book._rest, book, (), 1, ("B_USDT",))
        await universe.evaluate()
        await asyncio.sleep(0)
        return universe

    universe = virtual_time.run(program(), limit_s=10)
    assert universe.symbols == ("B_USDT",)
    assert universe.problem


def test_a_contract_that_is_settled_in_its_base_currency_is_not_listened_to() -> None:
    venue = FakeVenue(["X_USDT", "X_USD"])
    venue.details["X_USD"] |= {"quoteCoin": "USD", "settleCoin": "X"}
    assert set(refreshed(venue).contracts) == {"X_USDT"}
