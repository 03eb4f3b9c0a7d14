"""One run of the soak: the engine against the fake exchange in virtual time, faults from a seed.

Nothing of either side is changed or replaced but the network and the clock between them. The run is
a function of its seed; in some, ``cdb_ws`` is killed and started again with what its journal holds.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from services.cdb_ws.live.engine import Engine
from services.cdb_ws.live.engine_config import EngineConfig
from services.exchange_sim.exchange import Admission, Exchange
from services.exchange_sim.faults.faults import Fault, FaultKind, Script, script_from_seed
from services.exchange_sim.markets.contract_history import MadeTrade
from services.exchange_sim.markets.market import Happening, SimMarket
from services.exchange_sim.markets.synthetic_market import SyntheticMarket, symbol_names
from services.exchange_sim.pusher import Pace
from services.kernel.events import (
    Alert,
    Condition,
    Event,
    MarketData,
    Side,
)
from services.kernel.market.run_watch import OpenConditions
from services.lab.soak import virtual_time
from services.lab.soak.feed_promise import check
from services.lab.soak.feed_record import Findings, Loss, Made, Published, Record, RestAnswer
from services.lab.soak.simulated_network import GET_TIMEOUT_S, ClientEnd, joined
from services.venues.mexc.network import Answer, Connection, ConnectionLost

FAULTY_S: Final = 300.0
"""Length of the part whose script of faults comes from the seed; its last third is quiet."""

TRADING_S: Final = 345.0
"""The market makes trades so long, that every symbol is heard again after the last fault."""

TOTAL_S: Final = 380.0
WALL_AT_START_MS: Final = 1_767_225_600_000
RESTART_SHARE: Final = 0.25
"""Of the seeds: ``cdb_ws`` is killed once or twice in them."""

JOURNAL_MS: Final = 60_000
"""So much of its own past ``cdb_ws`` finds in its journal after a restart."""

PACE: Final = Pace(book=1_000, quiet_book=6_000, price=3_000, ticker=6_000)
"""Books and prices come less often than on the venue: the promise is about trades."""

REST_FAULTS: Final = frozenset(
    {FaultKind.HTTP_429, FaultKind.HTTP_5XX, FaultKind.HTTP_SLOW, FaultKind.MOVED}
)
ASKS_AGAIN_MS: Final = 60_000
"""The longest pause of the engine after a complaint."""

TRADES: Final = "/api/v1/contract/deals/"
TRADE_TIME: Final = re.compile(rb'"t":(\d+)')
MOST_NOTES: Final = 5_000
LIMIT_S: Final = 60.0
"""Real seconds after which a run is given up: something turns in circles."""

RUN_ID: Final = "soak"


class Note(Struct, frozen=True):
    """A line of the trace: when (seconds after the opening), and what happened."""

    at_s: float
    text: str


class Run(Struct):
    """What a run gave.

    Attributes:
        symbols: How many were traded.
        faults_begun: How often each fault of the exchange happened.
        notes: What happened, in order.
    """

    seed: int
    script: Script
    findings: Findings
    symbols: int
    faults_begun: dict[str, int]
    restarts: int
    notes: list[Note]


class _Until:
    """A market that falls quiet."""

    def __init__(self, market: SimMarket, seconds: float) -> None:
        self.contracts = market.contracts
        self._market = market
        self._end_ms = seconds * 1000

    def happenings(self) -> Iterator[Happening]:
        for happening in self._market.happenings():
            if happening.offset_ms > self._end_ms:
                return
            yield happening


class _Stage:
    """Where both sides meet: the network, the record, the time.

    Args:
        random: Delays of the network.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._subscribed: dict[ClientEnd, set[str]] = {}
        self._open: set[ClientEnd] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.exchange: Exchange | None = None
        self.published: list[Published] = []
        self.losses: list[Loss] = []
        self.answers: list[RestAnswer] = []
        self.dead: list[tuple[int, int]] = []
        self.notes: list[Note] = []
        self.open = OpenConditions()

    # -- the network, as the engine sees it -----------------------------------------------------

    async def connect(self, url: str) -> Connection:
        """Open a connection to the exchange.

        Raises:
            ConnectionLost: It does not admit it.
        """
        assert self.exchange is not None
        await asyncio.sleep(self._random.uniform(0.005, 0.2))
        admission = self.exchange.admit()
        if admission is not Admission.ACCEPT:
            self.note(f"not admitted: {admission.name}")
            raise ConnectionLost(f"{url}: {admission.name}")
        client, server = joined(self._random, self._sent, self._lost)
        self._subscribed[client] = set()
        self._open.add(client)
        self.note("connected")
        task = asyncio.create_task(self.exchange.serve(server))
        self._serving.add(task)
        task.add_done_callback(self._served)
        return client

    async def get(self, url: str) -> Answer:
        """Ask the exchange by REST.

        Raises:
            TimeoutError: No answer in time.
        """
        assert self.exchange is not None
        parts, asked_ms = urlsplit(url), self.now_ms()
        async with asyncio.timeout(GET_TIMEOUT_S):
            await asyncio.sleep(self._random.uniform(0.005, 0.3))
            answer = await self.exchange.answer(parts.path, parts.query)
            await asyncio.sleep(self._random.uniform(0.005, 0.3))
        if answer.status != 200:
            self.note(f"REST {answer.status}: {parts.path}")
        elif parts.path.startswith(TRADES) and (times := TRADE_TIME.findall(answer.body)):
            symbol = parts.path.removeprefix(TRADES)
            newest, oldest = int(times[0]), int(times[-1])
            self.answers.append(RestAnswer(symbol, asked_ms, self.now_ms(), oldest, newest))
        return Answer(answer.status, answer.body)

    def now_ms(self) -> int:
        """Wall time of both sides."""
        return WALL_AT_START_MS + int((self._loop.time() - self._began) * 1000)

    # -- what is noted --------------------------------------------------------------------------

    def emit(self, events: list[Event]) -> None:
        """Take what the engine publishes."""
        now = self.now_ms()
        for event in events:
            self.published.append(Published(now, event))
            if isinstance(event, Condition | Alert):
                self._note_event(event)

    def note(self, text: str) -> None:
        """Note a line of the trace."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(Note(round(self._loop.time() - self._began, 3), text))

    def kill_connections(self) -> None:
        """The process that held them is gone, without a word."""
        for client in self._open:
            client.vanish()
        self._open.clear()

    def _note_event(self, event: Condition | Alert) -> None:
        if isinstance(event, Alert):
            self.note(f"alert {event.code} {event.symbol or ''} {event.phase}: {event.message}")
            return
        span = "" if event.lost_from is None else f" lost {event.lost_from} to {event.lost_to}"
        self.note(f"{event.name} {event.symbol or ''} {event.phase}{span}: {event.detail}")
        self.open.note(event)

    def _sent(self, client: ClientEnd, text: str) -> None:
        command = json.loads(text)
        symbols = self._subscribed[client]
        if command["method"] == "sub.deal":
            symbols.add(command["param"]["symbol"])
        elif command["method"] == "unsub.deal":
            symbols.discard(command["param"]["symbol"])

    def _lost(self, client: ClientEnd, why: str) -> None:
        now = self.now_ms()
        symbols = sorted(self._subscribed.pop(client, ()))
        self._open.discard(client)
        self.losses += [Loss(now, symbol) for symbol in symbols]
        self.note(f"connection lost ({why}): {' '.join(symbols)}")

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.note(f"the exchange failed: {error!r}")
            raise error


def play(seed: int, limit_s: float = LIMIT_S) -> Run:
    """Play one seed to its end and check the promise.

    Args:
        seed: Of the market, the faults, the network's delays, the restarts.
        limit_s: Seconds of processor time that it may take.
    """
    with TemporaryDirectory(prefix="claire-soak-") as folder:
        return virtual_time.run(_play(seed, Path(folder)), limit_s)


async def _play(seed: int, cache: Path) -> Run:
    random = Random(f"{seed} soak")  # noqa: S311 - chance on purpose
    symbols = symbol_names(random.randint(2, 6))
    market = SyntheticMarket(
        seed, symbols, trades_per_second=random.uniform(2, 40), history_minutes=20
    )
    script = script_from_seed(seed, FAULTY_S, symbols)
    stage = _Stage(random)
    chance = Random(f"{seed} exchange")  # noqa: S311 - as above
    exchange = Exchange(
        _Until(market, TRADING_S), script, stage.now_ms, chance, pace=PACE, keep_trades=True
    )
    stage.exchange = exchange
    running = asyncio.create_task(exchange.run())
    for fault in script.faults:
        asyncio.get_running_loop().call_later(fault.at_s, stage.note, _described(fault))
    crashes: list[str] = []
    kills = Random(f"{seed} kills")  # noqa: S311 - as above
    restarts = await _listen(stage, kills, symbols, cache, crashes)
    running.cancel()
    record = Record(
        made=_made(exchange.trades_made, market),
        published=stage.published,
        losses=stage.losses,
        dead=stage.dead,
        rest_away=_rest_away(script),
        left_out=_made(exchange.left_out, market),
        answers=stage.answers,
    )
    findings = check(record)
    findings.faults[:0] = crashes
    begun = Counter(fault.kind.value for fault in script.faults)
    return Run(seed, script, findings, len(symbols), dict(begun), restarts, stage.notes)


async def _listen(
    stage: _Stage, random: Random, symbols: tuple[str, ...], cache: Path, crashes: list[str]
) -> int:
    """Run the engine until the end, killed and started again where the seed says so."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    kills = random.randint(1, 2) if random.random() < RESTART_SHARE else 0
    ends = sorted(random.uniform(20, FAULTY_S * 0.7) for _ in range(kills))
    for number, end in enumerate([*ends, TOTAL_S]):
        engine = Engine(
            stage,
            _config(stage, symbols, cache, first=number == 0),
            Random(random.random()),  # noqa: S311 - jitter
            stage.emit,
        )
        task = asyncio.create_task(engine.run())
        await asyncio.wait({task}, timeout=began + end - loop.time())
        if task.done() and not task.cancelled():
            crashes.append(f"the engine ended by itself: {task.exception()!r}")
            return number
        stage.kill_connections()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if end < TOTAL_S:
            stage.note("cdb_ws is killed")
            killed_ms = stage.now_ms()
            await asyncio.sleep(random.uniform(1, 15))
            stage.note("cdb_ws is started again")
            stage.dead.append((killed_ms, stage.now_ms()))
    return kills


def _config(stage: _Stage, symbols: tuple[str, ...], cache: Path, *, first: bool) -> EngineConfig:
    now = stage.now_ms()
    past = [
        item.event
        for item in stage.published
        if isinstance(item.event, MarketData) and item.at_ms > now - JOURNAL_MS
    ]
    return EngineConfig(
        run_id=RUN_ID,
        ws_url="ws://soak/edge",
        rest_urls=("http://soak",),
        symbols=symbols,
        lookback_minutes=5,
        past=past,
        last_clock_ms=0 if first else stage.published[-1].at_ms if stage.published else 0,
        uncertain_symbols=tuple(sorted(stage.open.gaps)),
        clock_offsets=tuple(symbol or None for symbol in sorted(stage.open.clock_offsets)),
        cache=cache,
    )


def _made(trades: Sequence[MadeTrade], market: SimMarket) -> list[Made]:
    sizes = {contract.symbol: contract.contract_size for contract in market.contracts}
    return [
        Made(
            made.symbol,
            made.t,
            made.p,
            made.v * sizes[made.symbol],
            Side.BUY if made.buys else Side.SELL,
        )
        for made in trades
    ]


def _rest_away(script: Script) -> list[tuple[int, int]]:
    """When REST did not answer, and so long after that the engine asks again, Unix ms."""
    return [
        (start := WALL_AT_START_MS + int(fault.at_s * 1000),
         start + int((fault.for_s or 0) * 1000) + ASKS_AGAIN_MS)
        for fault in script.faults
        if fault.kind in REST_FAULTS
    ]  # fmt: skip


def _described(fault: Fault) -> str:
    where = f" {fault.symbol}" if fault.symbol else ""
    length = "" if fault.for_s is None else f" for {fault.for_s:g} s"
    return f"FAULT {fault.kind}{where}{length} {fault.amount if fault.amount is not None else ''}"
