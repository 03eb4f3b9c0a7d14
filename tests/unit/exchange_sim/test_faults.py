"""Each fault, as a client sees it, and what is left of it afterwards."""

import asyncio
import json
from typing import Any

import pytest

from services.exchange_sim.exchange import Admission
from services.exchange_sim.faults.faults import MEANING, Fault, FaultKind, Script
from tests.unit.exchange_sim.exchange_floor import OPENED_MS, Client, Floor, on_the_floor, reported

pytestmark = pytest.mark.unit


async def listening(floor: Floor, *channels: str) -> Client:
    client = floor.connect()
    for channel in channels or ("deal",):
        client.subscribe(channel, compress=False)
    client.ping()
    await asyncio.sleep(1.1)  # between two beats of the exchange
    client.clear()
    return client


@pytest.mark.parametrize(
    ("kind", "admission"),
    [
        (FaultKind.REFUSE, Admission.REFUSE),
        (FaultKind.DROP_HANDSHAKE, Admission.DROP_HANDSHAKE),
        (FaultKind.MOVED, Admission.MOVED),
    ],
)
def test_a_connection_is_not_admitted_while_it_lasts(kind: FaultKind, admission: Admission) -> None:
    async def talk(floor: Floor) -> None:
        assert floor.exchange.admit() is Admission.ACCEPT
        floor.begin(kind, for_s=5)
        assert floor.exchange.admit() is admission
        await asyncio.sleep(6)
        assert floor.exchange.admit() is Admission.ACCEPT

    on_the_floor(talk)


def test_a_drop_cuts_the_sockets_it_concerns_without_a_close_frame() -> None:
    async def talk(floor: Floor) -> None:
        first, second = await listening(floor), await listening(floor)
        floor.begin(FaultKind.DROP, socket=1)
        assert (first.cut, second.cut, second.closed_with) == (False, True, None)
        await asyncio.sleep(1)
        assert floor.exchange.figures()["open"] == 1
        floor.begin(FaultKind.DROP)
        assert first.cut

    on_the_floor(talk)


def test_a_close_ends_in_order_with_its_code() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.CLOSE, amount=1012)
        await asyncio.sleep(0.1)
        assert client.closed_with == 1012

    on_the_floor(talk)


def test_silence_loses_everything_pongs_too_and_then_ends() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor, "deal", "depth.full")
        floor.begin(FaultKind.SILENCE, for_s=20)
        client.ping()
        await asyncio.sleep(19)
        assert client.frames == []
        assert not client.gone
        late = floor.connect()
        late.ping()
        await asyncio.sleep(0.5)
        assert late.frames == [], "new connections are silent too"
        await asyncio.sleep(5)
        assert client.trades()
        assert client.trades()[0]["t"] > OPENED_MS + 20_000

    on_the_floor(talk)


def test_silence_may_concern_one_socket() -> None:
    async def talk(floor: Floor) -> None:
        first, second = await listening(floor), await listening(floor)
        first.clear()
        floor.begin(FaultKind.SILENCE, socket=0)
        await asyncio.sleep(5)
        assert (first.frames, bool(second.frames)) == ([], True)
        floor.exchange.clear()
        await asyncio.sleep(2)
        assert first.frames

    on_the_floor(talk)


def test_a_half_open_socket_never_speaks_again_and_new_ones_work() -> None:
    async def talk(floor: Floor) -> None:
        dead = await listening(floor)
        floor.begin(FaultKind.HALF_OPEN)
        floor.exchange.clear()
        dead.ping()
        fresh = await listening(floor)
        await asyncio.sleep(100)
        assert dead.frames == []
        assert not dead.gone
        assert fresh.trades()

    on_the_floor(talk)


def test_slow_frames_come_late_and_in_order() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.SLOW, amount=4_000, for_s=10)
        await asyncio.sleep(3.9)
        assert client.frames == []
        await asyncio.sleep(16)
        pushed = reported(client.trades())
        assert pushed == floor.made()[-len(pushed) :]

    on_the_floor(talk)


def test_duplicated_trades_come_again() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.DUPLICATE, amount=1, for_s=10)
        await asyncio.sleep(15)
        ids = [trade["i"] for trade in client.trades()]
        assert len(ids) > 1.3 * len(set(ids))
        made = floor.made()
        assert set(reported(client.trades())) <= set(made)

    on_the_floor(talk)


def test_reordered_trades_all_come_but_not_in_order() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.REORDER, amount=0.5, for_s=20)
        await asyncio.sleep(22)
        pushed = reported(client.trades())
        assert pushed != sorted(pushed)
        assert sorted(pushed) == sorted(floor.made()[-len(pushed) :])

    on_the_floor(talk)


def test_a_hole_is_in_rest_and_not_on_the_socket() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        began = floor.exchange.server_ms()
        floor.begin(FaultKind.HOLE, symbol="BTC_USDT", for_s=5)
        await asyncio.sleep(4.9)
        assert client.trades() == []
        rest = reported(await floor.data("deals/BTC_USDT"))
        assert [trade for trade in rest if trade[0] > began + 500]

    on_the_floor(talk)


def test_a_silent_symbol_is_pushed_nowhere_and_trades_on() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor, "deal", "depth.full", "ticker", "fair.price")
        client.subscribe("deal", "ETH_USDT", compress=False)
        await asyncio.sleep(0.5)
        client.clear()
        floor.begin(FaultKind.SYMBOL_SILENT, symbol="BTC_USDT")
        before = len(floor.made())
        await asyncio.sleep(10)
        assert {frame["symbol"] for frame in client.frames} == {"ETH_USDT"}
        assert len(floor.made()) > before

    on_the_floor(talk)


def test_stale_books_have_older_versions() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor, "depth.full")
        floor.begin(FaultKind.STALE_BOOK, amount=1)
        await asyncio.sleep(10)
        versions = [frame["data"]["version"] for frame in client.of("push.depth.full")]
        assert versions
        assert all(old < new for new, old in zip(versions[::2], versions[1::2], strict=True))

    on_the_floor(talk)


def test_crossed_books_have_their_bid_above_their_ask() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor, "depth.full")
        floor.begin(FaultKind.CROSSED_BOOK)
        await asyncio.sleep(10)
        books = [frame["data"] for frame in client.of("push.depth.full")]
        assert books
        assert all(book["bids"][0][0] > book["asks"][0][0] for book in books)

    on_the_floor(talk)


def test_malformed_frames_are_cut_short() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.MALFORMED, amount=1)
        await asyncio.sleep(5)
        assert client.unreadable
        assert client.frames == []

    on_the_floor(talk)


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.HOLE, FaultKind.MALFORMED, FaultKind.WRONG_TYPES, FaultKind.SYMBOL_SILENT,
        FaultKind.SILENCE,
    ],
)  # fmt: skip
def test_the_exchange_keeps_account_of_the_trades_that_it_left_out(kind: FaultKind) -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        last = floor.exchange.trades_made[-1].i
        amount = 0.5 if MEANING[kind].amount else None
        floor.begin(kind, amount=amount, for_s=20)
        await asyncio.sleep(25)
        frames = [frame for frame in client.of("push.deal") if isinstance(frame["data"], list)]
        rows = [row for frame in frames for row in frame["data"] if isinstance(row, dict)]
        pushed = {int(row["i"]) for row in rows if isinstance(row.get("i"), str)}
        missing = [
            trade.i
            for trade in floor.exchange.trades_made
            if trade.symbol == "BTC_USDT" and trade.i > last and trade.i not in pushed
        ]
        assert len(missing) > 20
        left_out = [trade.i for trade in floor.exchange.left_out if trade.symbol == "BTC_USDT"]
        assert sorted(left_out) == missing

    on_the_floor(talk)


def test_frames_of_wrong_types_are_json_with_no_trade_of_the_market() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.WRONG_TYPES, amount=1)
        await asyncio.sleep(20)
        assert len({json.dumps(frame)[:60] for frame in client.frames}) > 5
        text = json.dumps(client.frames)
        assert not any(f'"{trade.i}"' in text for trade in floor.exchange.trades_made)

    on_the_floor(talk)


def test_unknown_channels_and_fields_come_besides_the_known_ones() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.UNKNOWN, amount=1)
        await asyncio.sleep(5)
        assert client.of("push.brand.new")
        assert all("newField" in frame for frame in client.of("push.deal"))
        pushed = reported(client.trades())
        assert pushed == floor.made()[-len(pushed) :]

    on_the_floor(talk)


def test_a_huge_frame_has_its_size() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.HUGE, amount=3_000_000)
        await asyncio.sleep(0.1)
        assert max(map(len, client.raw)) >= 3_000_000

    on_the_floor(talk)


def test_a_clock_jump_shows_in_pongs_and_push_times_but_not_in_trades() -> None:
    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        floor.begin(FaultKind.CLOCK_JUMP, amount=-120_000, for_s=10)
        client.ping()
        await asyncio.sleep(5)
        assert client.of("pong")[0]["data"] < OPENED_MS - 100_000
        assert client.of("push.deal")[-1]["ts"] < OPENED_MS - 100_000
        assert min(trade["t"] for trade in client.trades()) >= OPENED_MS
        await asyncio.sleep(6)
        assert floor.exchange.server_ms() > OPENED_MS

    on_the_floor(talk)


@pytest.mark.parametrize(
    ("kind", "status"),
    [(FaultKind.HTTP_429, 429), (FaultKind.HTTP_5XX, 503), (FaultKind.MOVED, 301)],
)
def test_rest_answers_with_the_faults_status_until_it_ends(kind: FaultKind, status: int) -> None:
    async def talk(floor: Floor) -> None:
        floor.begin(kind, for_s=3)
        assert (await floor.get("ping")).status == status
        await asyncio.sleep(4)
        assert (await floor.get("ping")).status == 200

    on_the_floor(talk)


def test_rest_may_be_slow() -> None:
    async def talk(floor: Floor) -> None:
        loop = asyncio.get_running_loop()
        floor.begin(FaultKind.HTTP_SLOW, amount=7_000)
        began = loop.time()
        await floor.get("ping")
        assert loop.time() - began == pytest.approx(7.0)

    on_the_floor(talk)


def test_a_script_happens_at_its_times() -> None:
    script = Script(
        (
            Fault(kind=FaultKind.SYMBOL_SILENT, at_s=10, for_s=5, symbol="BTC_USDT"),
            Fault(kind=FaultKind.DROP, at_s=20),
        )
    )

    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        seen: list[tuple[float, Any]] = []
        await asyncio.sleep(0.4)
        for second in range(2, 25):
            await asyncio.sleep(1)
            seen.append((second, floor.exchange.figures()["faults_on"]))
            if second == 18:
                assert not client.gone
        assert {second for second, on in seen if on} == {10, 11, 12, 13, 14}
        assert client.cut

    on_the_floor(talk, script=script)


def test_clearing_one_kind_leaves_the_others() -> None:
    async def talk(floor: Floor) -> None:
        floor.begin(FaultKind.HTTP_429)
        floor.begin(FaultKind.REFUSE, for_s=1_000)
        floor.exchange.clear(FaultKind.HTTP_429)
        assert (await floor.get("ping")).status == 200
        assert floor.exchange.figures()["faults_on"] == ["refuse"]
        floor.exchange.clear()
        assert floor.exchange.board.calm

    on_the_floor(talk)


def test_a_fault_of_a_contract_that_there_is_not_is_refused() -> None:
    async def talk(floor: Floor) -> None:
        with pytest.raises(ValueError, match="no contract NOPE_USDT; there are BTC_USDT"):
            floor.begin(FaultKind.HOLE, symbol="NOPE_USDT")

    on_the_floor(talk)


def test_every_fault_is_explained_and_begins() -> None:
    assert set(MEANING) == set(FaultKind)

    async def talk(floor: Floor) -> None:
        client = await listening(floor)
        for kind in FaultKind:
            floor.begin(kind, for_s=0.5)
            await asyncio.sleep(1)
        assert client.gone
        assert set(floor.exchange.board.begun) == set(FaultKind)
        assert floor.exchange.board.calm

    on_the_floor(talk)
