"""The fake exchange as a process on a port: real sockets, real HTTP, the command itself."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus

pytestmark = pytest.mark.integration

CLAIRE = (sys.executable, "-m", "services.cli.main")
DEADLINE_S = 20.0


class Sim:
    """A running ``claire exchange-sim``."""

    def __init__(self, process: "subprocess.Popen[str]", addresses: dict[str, Any]) -> None:
        self.process = process
        self.ws_url: str = addresses["MEXC_WS_URL"]
        self.rest_url: str = addresses["MEXC_REST_URL"]
        self.symbols: list[str] = addresses["symbols"]

    def get(self, path: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(self.rest_url + path, timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def begin(self, kind: str, **fields: object) -> None:
        query = "&".join(f"{name}={value}" for name, value in {"kind": kind, **fields}.items())
        status, body = self.get(f"/sim/faults/begin?{query}")
        assert status == 200, body

    def connect(self, **options: Any) -> connect:
        return connect(self.ws_url, compression=None, ping_interval=None, **options)


@contextmanager
def running(*options: str) -> Iterator[Sim]:
    process = subprocess.Popen(
        [*CLAIRE, "exchange-sim", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=DEADLINE_S)[1]
        yield Sim(process, json.loads(line))
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sim]:
    with running("--control", "--rate", "200") as sim:
        yield sim


@pytest.fixture
def sim(shared: Sim) -> Iterator[Sim]:
    yield shared
    shared.get("/sim/faults/clear")


def conversation(program: Any) -> None:
    asyncio.run(asyncio.wait_for(program, DEADLINE_S))


async def received(client: ClientConnection, channel: str) -> dict[str, Any]:
    """The next frame of a channel."""
    async for text in client:
        frame: dict[str, Any] = json.loads(text)
        if frame.get("channel") == channel:
            return frame
    raise AssertionError(f"closed before {channel}")


def subscription(channel: str, symbol: str) -> str:
    return json.dumps(
        {"method": f"sub.{channel}", "param": {"symbol": symbol, "compress": False}, "gzip": False}
    )


def test_a_client_subscribes_and_receives_every_symbol(sim: Sim) -> None:
    async def talk() -> None:
        async with sim.connect() as client:
            await client.send('{"method":"ping"}')
            await received(client, "pong")
            for symbol in sim.symbols:
                await client.send(subscription("deal", symbol))
                await client.send(subscription("depth.full", symbol))
            waiting = {(c, s) for c in ("push.deal", "push.depth.full") for s in sim.symbols}
            async for text in client:
                frame = json.loads(text)
                waiting.discard((frame.get("channel"), frame.get("symbol")))
                if not waiting:
                    return

    conversation(talk())


def test_rest_and_health_are_on_the_same_port(sim: Sim) -> None:
    status, answer = sim.get("/api/v1/contract/detail")

    assert status == 200
    assert [row["symbol"] for row in answer["data"]] == sim.symbols
    assert sim.get("/health") == (200, {"status": "ok", "service": "cdb_sim"})
    assert sim.get("/nothing")[0] == 404


@pytest.mark.parametrize(
    ("kind", "error"),
    [("refuse", InvalidMessage), ("drop_handshake", InvalidMessage), ("moved", InvalidStatus)],
)
def test_a_handshake_that_a_fault_spoils_fails(sim: Sim, kind: str, error: type[Exception]) -> None:
    async def talk() -> None:
        async with sim.connect():
            pass

    sim.begin(kind)
    with pytest.raises(error):
        conversation(talk())
    sim.get("/sim/faults/clear")
    conversation(talk())


def test_a_drop_is_an_end_without_a_close_frame(sim: Sim) -> None:
    async def talk() -> None:
        async with sim.connect() as client:
            await client.send(subscription("deal", "BTC_USDT"))
            await received(client, "push.deal")
            await asyncio.to_thread(sim.begin, "drop")
            with pytest.raises(ConnectionClosedError) as ended:
                await received(client, "nothing")
            assert ended.value.rcvd is None

    conversation(talk())


def test_a_giant_frame_arrives_whole_where_it_is_allowed(sim: Sim) -> None:
    async def talk() -> None:
        async with sim.connect(max_size=8 << 20) as client:
            await client.send('{"method":"ping"}')
            await received(client, "pong")
            await asyncio.to_thread(sim.begin, "huge", amount=5_000_000)
            frame = await received(client, "push.notice")
            assert len(frame["data"]) == 5_000_000

    conversation(talk())


def test_a_reader_that_does_not_read_does_not_stop_the_others(sim: Sim) -> None:
    async def talk() -> None:
        async with sim.connect(max_queue=1, close_timeout=0.2) as lazy, sim.connect() as eager:
            for symbol in sim.symbols:
                await lazy.send(subscription("deal", symbol))
            await asyncio.to_thread(sim.begin, "huge", socket=0, amount=900_000)
            await eager.send(subscription("deal", "BTC_USDT"))
            for _ in range(50):
                await received(eager, "push.deal")

    conversation(talk())


def test_a_wrong_fault_is_refused_with_what_there_is(sim: Sim) -> None:
    status, body = sim.get("/sim/faults/begin?kind=earthquake")

    assert status == 400
    assert "half_open" in body
    assert sim.get("/sim/faults/begin?kind=hole&symbol=NOPE")[0] == 400
    assert sim.get("/sim/nothing")[0] == 404
    assert sim.get("/sim/status")[1]["symbols"] == len(sim.symbols)


def test_without_control_nobody_can_begin_a_fault() -> None:
    with running() as sim:
        assert sim.get("/sim/faults/begin?kind=drop")[0] == 404


def test_it_ends_in_order_on_sigterm() -> None:
    with running() as sim:
        sim.process.send_signal(signal.SIGTERM)

        assert sim.process.wait(timeout=DEADLINE_S) == 0


def test_a_script_and_a_record_are_taken_from_files(tmp_path: Path) -> None:
    trades = tmp_path / "binance-usdm_BTCUSDT_trades.csv"
    rows = "".join(f"{1_700_000_000_000 + 50 * n},{60_000 + n},0.5,buy\n" for n in range(2_000))
    trades.write_text("ts_ms,price,qty,side\n" + rows, "utf-8")
    script = tmp_path / "faults.json"
    script.write_text('{"faults": [{"kind": "http_5xx", "at_s": 0}]}', "utf-8")

    with running(
        "--data", str(trades), "--history", "1", "--control", "--script", str(script)
    ) as sim:
        assert sim.symbols == ["BTC_USDT"]
        assert sim.get("/api/v1/contract/deals/BTC_USDT")[0] == 503
        sim.get("/sim/faults/clear")
        newest = sim.get("/api/v1/contract/deals/BTC_USDT?limit=1")[1]["data"]
        assert 61_000 < newest[0]["p"] < 62_000


def test_a_fault_in_the_middle_of_a_record_ends_it_with_file_and_line(tmp_path: Path) -> None:
    trades = tmp_path / "binance-usdm_BTCUSDT_trades.csv"
    rows = [f"{1_700_000_000_000 + 100 * n},60000,0.5,buy" for n in range(3_000)]
    rows[2_000:2_600] = ["1600000000000,60000,0.5,buy"] * 600
    trades.write_text("ts_ms,price,qty,side\n" + "\n".join(rows) + "\n", "utf-8")

    with running("--data", str(trades), "--history", "0", "--speed", "100") as sim:
        assert sim.process.wait(timeout=DEADLINE_S) == 1
        assert sim.process.stderr is not None
        assert f"{trades.name} line 2002" in sim.process.stderr.read()


def test_a_taken_port_is_said(sim: Sim) -> None:
    port = sim.rest_url.rpartition(":")[2]
    done = subprocess.run(
        [*CLAIRE, "exchange-sim", "--port", port], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "choose another --port" in done.stderr
