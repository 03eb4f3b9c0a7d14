"""The fake exchange: one asyncio program over any kind of connection.

It uses no socket, no thread, and no time but the loop's and ``now_ms``: it runs in a server, and in
memory under virtual time.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum, auto
from random import Random
from typing import Any, Final

from services.exchange_sim import frames
from services.exchange_sim.faults.fault_board import FaultBoard
from services.exchange_sim.faults.faults import MEANING, Fault, FaultKind, Script
from services.exchange_sim.markets.contract_history import Ledger, MadeTrade
from services.exchange_sim.markets.market import Fair, Funding, Happening, Print, SimMarket, Touch
from services.exchange_sim.peer import Peer, PeerGone
from services.exchange_sim.pusher import Pace, Pusher
from services.exchange_sim.rest import HttpAnswer, RestDesk
from services.exchange_sim.session import Session
from services.exchange_sim.subscriptions import Commands, Subscriptions

PULSE_S: Final = 0.02
"""Trades of one pulse and contract share a frame."""

LONGEST_SLEEP_S: Final = 1.0
PING_WITHIN_S: Final = 60.0
IDS_PER_MS: Final = 1_000
"""A restarted exchange begins behind its former ids."""

NO_PING: Final = "more than 60 seconds no response, close the channel"
NORMAL_CLOSURE: Final = 1000


class Admission(Enum):
    """What happens to a new connection."""

    ACCEPT = auto()
    REFUSE = auto()
    DROP_HANDSHAKE = auto()
    MOVED = auto()


class Exchange:
    """A market, and the sessions connected to it.

    Args:
        market: The market; its history is loaded at once.
        script: Faults and when they begin.
        now_ms: Wall time, Unix milliseconds.
        random: Randomness of books and faults.
        pace: How often data is pushed.
        keep_trades: Whether ``trades_made`` and ``left_out`` are filled; they grow without bound.
        compressed: Whether frames are sent as gzip.

    Attributes:
        trades_made: Every trade of the market in order, if they are kept.
        left_out: Trades that a fault kept from a subscribed session, if they are kept. Trades lost
            with
        a connection are not among them. One may be named twice.
        trade_count: Number of trades.
        board: The active faults.
    """

    def __init__(
        self,
        market: SimMarket,
        script: Script,
        now_ms: Callable[[], int],
        random: Random,
        *,
        pace: Pace | None = None,
        keep_trades: bool = False,
        compressed: bool = False,
    ) -> None:
        self.trades_made: list[MadeTrade] = []
        self.left_out: list[MadeTrade] = []
        self.trade_count = 0
        self.board = FaultBoard(random)
        self._script = script
        self._now_ms = now_ms
        self._opened_ms = now_ms()
        self._random = random
        self._pace = pace or Pace()
        self._keep = keep_trades
        self._ledgers = [Ledger(contract, random) for contract in market.contracts]
        by_symbol = {ledger.symbol: ledger for ledger in self._ledgers}
        self._next_id = self._opened_ms * IDS_PER_MS
        self._happenings = market.happenings()
        self._upcoming: Happening | None = next(self._happenings, None)
        self._sessions: list[Session] = []
        self._sockets_of: dict[int, frozenset[int]] = {}
        self._connections = 0
        self._most_commands_per_s = 0
        self._sent = 0
        self._subscriptions = Subscriptions()
        self._pusher = Pusher(
            self._ledgers, self._subscriptions, self.board, random, self.server_ms, self._pace,
            compressed=compressed, left_out=self.left_out if keep_trades else None,
        )  # fmt: skip
        self._commands = Commands(
            self._subscriptions, by_symbol.keys(), self.server_ms, self._pusher.first, _loop_time
        )
        self._rest = RestDesk(by_symbol, self.server_ms, _loop_time)
        self._happen_until(0)

    def server_ms(self) -> int:
        """The server's time, which a fault may set wrong."""
        jump = None if self.board.calm else self.board.on(FaultKind.CLOCK_JUMP)
        return self._now_ms() + (int(jump.size) if jump else 0)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The contracts."""
        return tuple(ledger.symbol for ledger in self._ledgers)

    def admit(self) -> Admission:
        """What happens to a connection that is being opened."""
        if self.board.on(FaultKind.MOVED):
            return Admission.MOVED
        if self.board.on(FaultKind.REFUSE):
            return Admission.REFUSE
        if self.board.on(FaultKind.DROP_HANDSHAKE):
            return Admission.DROP_HANDSHAKE
        return Admission.ACCEPT

    async def serve(self, peer: Peer) -> None:
        """Serve one connection until it ends."""
        self._connections += 1
        session = Session(peer, self._connections, _loop_time())
        self._sessions.append(session)
        self._treat_sessions()
        tasks = [asyncio.create_task(self._obey(session)), asyncio.create_task(session.write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._sessions.remove(session)
            self._subscriptions.leave(session)
            self._sent += session.sent
            self._most_commands_per_s = max(self._most_commands_per_s, session.most_commands_per_s)

    async def answer(self, path: str, query: str = "") -> HttpAnswer:
        """Answer ``GET path?query``."""
        late = self.board.on(FaultKind.HTTP_SLOW)
        if late:
            await asyncio.sleep(late.size / 1000)
        if self.board.on(FaultKind.MOVED):
            return HttpAnswer(301, b"moved", location=f"/moved{path}")
        if self.board.on(FaultKind.HTTP_429):
            return HttpAnswer(429, b"too many requests")
        if self.board.on(FaultKind.HTTP_5XX):
            return HttpAnswer(503, b"service unavailable")
        return self._rest.answer(path, query)

    async def run(self) -> None:
        """Trade, push, and let the script's faults happen; for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._trade())
            tasks.create_task(self._beat())
            for fault in self._script.faults:
                tasks.create_task(self._scripted(fault))

    def begin(self, fault: Fault) -> None:
        """Let a fault happen now; it ends by itself after ``for_s``, where it has a length.

        Raises:
            ValueError: It concerns a contract that there is not.
        """
        if fault.symbol is not None and fault.symbol not in self.symbols:
            raise ValueError(f"no contract {fault.symbol}; there are {', '.join(self.symbols)}")
        meaning = MEANING[fault.kind]
        self.board.begin(fault, lasting=not meaning.instant)
        concerned = self._concerned(fault)
        if fault.kind in {FaultKind.SILENCE, FaultKind.SLOW} and fault.socket is not None:
            self._sockets_of[id(fault)] = frozenset(session.number for session in concerned)
        self._strike(fault, concerned)
        self._treat_sessions()
        if fault.for_s is not None and not meaning.instant:
            asyncio.get_running_loop().call_later(fault.for_s, self.end, fault)

    def end(self, fault: Fault) -> None:
        """A fault is over."""
        self.board.end(fault)
        self._sockets_of.pop(id(fault), None)
        self._treat_sessions()

    def clear(self, kind: FaultKind | None = None) -> None:
        """End all faults, or all of a kind; sockets that are half open stay so."""
        self.board.clear(kind)
        self._sockets_of = {
            id(fault): self._sockets_of[id(fault)]
            for fault in self.board.active()
            if id(fault) in self._sockets_of
        }
        self._treat_sessions()

    def figures(self) -> dict[str, Any]:
        """What was done so far, JSON-able."""
        limiter = self._rest.limiter
        open_now = self._sessions
        return {
            "symbols": len(self._ledgers),
            "trades_made": self.trade_count,
            "connections": self._connections,
            "open": len(open_now),
            "frames_sent": self._sent + sum(session.sent for session in open_now),
            "most_subscriptions_on_a_socket": self._subscriptions.most_on_one,
            "most_commands_per_s": max(
                [self._most_commands_per_s, *(one.most_commands_per_s for one in open_now)]
            ),
            "commands_unreadable": self._commands.unreadable,
            "commands_unknown": self._commands.unknown,
            "rest_requests": dict(limiter.requests),
            "rest_limited": dict(limiter.limited),
            "rest_most_in_2_s": dict(limiter.most),
            "faults_begun": {str(kind): count for kind, count in self.board.begun.items()},
            "faults_on": [str(fault.kind) for fault in self.board.active()],
        }

    async def _obey(self, session: Session) -> None:
        with suppress(PeerGone):
            while True:
                command = await session.receive()
                if not session.dead:
                    self._commands.obey(session, command)

    async def _trade(self) -> None:
        while self._upcoming is not None:
            elapsed = self._now_ms() - self._opened_ms
            self._happen_until(elapsed)
            if self._upcoming is not None:
                wait = (self._upcoming.offset_ms - elapsed) / 1000
                await asyncio.sleep(min(max(wait, PULSE_S), LONGEST_SLEEP_S))

    async def _beat(self) -> None:
        step = self._pace.book / 1000
        due = _loop_time()
        while True:
            self._pusher.beat()
            self._close_those_without_ping()
            due = max(due + step, _loop_time())
            await asyncio.sleep(due - _loop_time())

    async def _scripted(self, fault: Fault) -> None:
        elapsed = (self._now_ms() - self._opened_ms) / 1000
        await asyncio.sleep(max(0.0, fault.at_s - elapsed))
        self.begin(fault)

    def _happen_until(self, elapsed_ms: float) -> None:
        """Run what is due, and push the trades."""
        made: dict[int, list[MadeTrade]] = {}
        upcoming, happenings, ledgers = self._upcoming, self._happenings, self._ledgers
        while upcoming is not None and upcoming.offset_ms <= elapsed_ms:
            ledger = ledgers[upcoming.symbol]
            if isinstance(upcoming, Print):
                trade = self._made(ledger, upcoming)
                made.setdefault(upcoming.symbol, []).append(trade)
            elif isinstance(upcoming, Fair):
                ledger.value(upcoming)
            elif isinstance(upcoming, Touch):
                ledger.touch(upcoming)
            elif isinstance(upcoming, Funding):
                ledger.fund(upcoming)
            upcoming = next(happenings, None)
        self._upcoming = upcoming
        for number, trades in made.items():
            self._pusher.trades(ledgers[number], trades)

    def _made(self, ledger: Ledger, happening: Print) -> MadeTrade:
        self._next_id += 1 + int(self._random.random() * 40)
        t_ms = self._opened_ms + int(happening.offset_ms)
        trade = ledger.trade(happening, t_ms, self._next_id)
        self.trade_count += 1
        if self._keep:
            self.trades_made.append(trade)
        return trade

    def _strike(self, fault: Fault, concerned: Sequence[Session]) -> None:
        """What happens at once."""
        if fault.kind is FaultKind.HUGE:
            self._pusher.huge(concerned, int(fault.size))
        elif fault.kind is FaultKind.CONTRACT_CHANGED:
            for ledger in self._ledgers:
                if fault.symbol in {None, ledger.symbol}:
                    ledger.halve_leverage()
                    self._pusher.contract(ledger)
        for session in concerned:
            if fault.kind is FaultKind.DROP:
                session.cut()
            elif fault.kind is FaultKind.CLOSE:
                session.close(int(fault.size))
            elif fault.kind is FaultKind.HALF_OPEN:
                session.dead = True

    def _concerned(self, fault: Fault) -> Sequence[Session]:
        if fault.socket is None:
            return tuple(self._sessions)
        return tuple(self._sessions[fault.socket : fault.socket + 1])

    def _treat_sessions(self) -> None:
        """Apply the faults that are on to every session, new ones included."""
        for session in self._sessions:
            session.muted = any(self._hit(FaultKind.SILENCE, session))
            session.delay_s = max(self._hit(FaultKind.SLOW, session), default=0.0) / 1000

    def _hit(self, kind: FaultKind, session: Session) -> Iterator[float]:
        for fault in self.board.active():
            if fault.kind is kind:
                numbers = self._sockets_of.get(id(fault))
                if numbers is None or session.number in numbers:
                    yield fault.size or 1.0

    def _close_those_without_ping(self) -> None:
        oldest = _loop_time() - PING_WITHIN_S
        for session in self._sessions:
            if session.last_ping < oldest and not session.dead:
                session.last_ping = _loop_time()
                session.push(frames.error(NO_PING, self.server_ms()))
                session.close(NORMAL_CLOSURE)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
