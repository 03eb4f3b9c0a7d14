"""The source ``mexc``: MEXC perpetual futures, live."""

import queue
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from services.cdb_ws import ticks
from services.cdb_ws.conditions import data_gap
from services.cdb_ws.sources.live import SourceAwayError
from services.cdb_ws.sources.mexc import normalise
from services.cdb_ws.sources.mexc.messages import (
    CHANNELS,
    Contract,
    FrameError,
    Pong,
    Refused,
    decode,
    subscription,
)
from services.cdb_ws.sources.mexc.normalise import MINUTE_MS, Normaliser
from services.cdb_ws.sources.mexc.rest import MexcRest
from services.cdb_ws.sources.mexc.rest_messages import RestError, decode_contract
from services.cdb_ws.sources.mexc.socket import Lost, MexcSocket, Received
from services.kernel.events import ConditionPhase, Event, MarketData
from services.kernel.instruments import Instrument
from services.runtime import logging

MOST_FRAMES: Final = 500
ASK_AGAIN_S: Final = 20.0
"""A channel that has not spoken after this long is subscribed again."""

SILENT_S: Final = 60.0
_LAST_TIME = "last_ms"

_log = logging.get(__name__)


class Mexc:
    """The live market.

    Args:
        run_id: The run that the events belong to.
        ws_url: WebSocket address.
        rest: Contract details and history.
        symbols: What to subscribe; empty takes the movers.
        top_n: How many movers.
        lookback_minutes: History that is published first.
        now_ms: Wall time.
    """

    def __init__(
        self,
        run_id: str,
        ws_url: str,
        rest: MexcRest,
        symbols: Sequence[str],
        *,
        top_n: int = 10,
        lookback_minutes: int = 15,
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._run_id = run_id
        self._ws_url = ws_url
        self._rest = rest
        self._symbols = tuple(symbols)
        self._top_n = top_n
        self._lookback = lookback_minutes
        self._now_ms = now_ms
        self._contracts: dict[str, Instrument] = {}
        self._normaliser: Normaliser | None = None
        self._socket: MexcSocket | None = None
        self._heard: dict[tuple[str, str], float] = {}
        self._asked_at = 0.0
        self._began = time.monotonic()
        self._session = ""
        self._connected = False
        self._gap: str | None = None
        self._gaps = 0
        self._last_ms = 0
        self._frames = 0
        self._venue_says: str | None = None
        self._clock_offset_ms: int | None = None
        self._unknown: tuple[str, ...] = ()

    def begin(self, resume: dict[str, int]) -> list[Event]:
        """Ask for details and history, then connect; returns what comes before the first tick."""
        try:
            self._contracts = self._choose()
            now = self._now_ms()
            after = max(now - self._lookback * MINUTE_MS, resume.get(_LAST_TIME, 0))
            events: list[Event] = [
                ticks.instruments(self._run_id, now, tuple(self._contracts.values()), now)
            ]
            past: list[MarketData] = []
            for contract in self._contracts.values():
                bars = self._rest.minute_bars(contract.symbol, after - MINUTE_MS, now)
                past += normalise.history(self._run_id, contract, bars, after, now)
        except RestError as error:
            raise SourceAwayError(str(error)) from error
        self._session = str(now)
        self._normaliser = Normaliser(self._run_id, self._session, self._contracts, resume)
        if resume:
            events.append(self._begin_gap("cdb_ws was started again"))
        commands = [
            subscription(channel, symbol) for symbol in self._contracts for channel in CHANNELS
        ]
        self._socket = MexcSocket(self._ws_url, commands)
        self._socket.start()
        self._began = self._asked_at = time.monotonic()
        _log.info("mexc_begins", symbols=list(self._contracts), backfilled=len(past))
        return events + sorted(past, key=lambda tick: tick.timestamp)

    def take(self, timeout: float) -> list[Event]:
        """The events of the frames that have arrived."""
        socket = self._socket
        if socket is None:
            return []
        events: list[Event] = []
        try:
            item = socket.inbox.get(timeout=timeout) if timeout > 0 else socket.inbox.get_nowait()
            for _ in range(MOST_FRAMES):
                if isinstance(item, Lost):
                    events += self._lost(item)
                else:
                    events += self._received(item)
                item = socket.inbox.get_nowait()
        except queue.Empty:
            pass
        self._ask_again(socket)
        return events

    def resume_state(self) -> dict[str, int]:
        """Per symbol the last deal, and when the last tick came."""
        deals = self._normaliser.last_deals() if self._normaliser else {}
        return {**deals, _LAST_TIME: self._last_ms}

    def troubles(self) -> list[str]:
        """A lost connection, and symbols that do not speak."""
        if self._gap is not None:
            return [f"MEXC is not connected: {self._gap}"]
        now = time.monotonic()
        silent = [
            symbol
            for symbol in self._contracts
            if now - max(self._heard.get((symbol, name), self._began) for name in _KINDS) > SILENT_S
        ]
        found = [f"no data for {SILENT_S:g} s: {', '.join(silent)}"] if silent else []
        return found + ([] if self._contracts else ["no symbol to subscribe"])

    def counts(self) -> dict[str, object]:
        """What was received and left out."""
        refused = dict(self._normaliser.refused) if self._normaliser else {}
        return {
            "symbols": list(self._contracts),
            "unknown_symbols": list(self._unknown),
            "connections": self._socket.connections if self._socket else 0,
            "frames": self._frames,
            "frames_dropped": self._socket.dropped if self._socket else 0,
            "refused": refused,
            "gaps": self._gaps,
            "clock_offset_ms": self._clock_offset_ms,
            "venue_says": self._venue_says,
        }

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _choose(self) -> dict[str, Instrument]:
        contracts, unreadable = self._rest.contracts()
        if unreadable:
            _log.warning("contracts_unreadable", symbols=list(unreadable))
        wanted = self._symbols or self._movers(contracts)
        self._unknown = tuple(symbol for symbol in wanted if symbol not in contracts)
        if self._unknown:
            _log.warning("symbols_refused", symbols=list(self._unknown), reason="no such contract")
        chosen = {symbol: contracts[symbol] for symbol in wanted if symbol in contracts}
        for symbol, contract in chosen.items():
            hours = self._rest.funding_hours(symbol)
            chosen[symbol] = _with_funding(contract, hours)
        return chosen

    def _movers(self, contracts: dict[str, Instrument]) -> tuple[str, ...]:
        listed = [name for name in self._rest.movers() if name in contracts]
        return tuple(listed[: self._top_n])

    def _received(self, item: Received) -> list[Event]:
        assert self._normaliser is not None
        self._frames += 1
        self._connected = True
        try:
            frame = decode(item.body)
        except FrameError as error:
            self._normaliser.refused["unreadable_frame"] += 1
            _log.warning("frame_refused", reason=str(error)[:200])
            return []
        now = self._now_ms()
        events: list[Event] = []
        if isinstance(frame, Pong):
            self._clock_offset_ms = frame.server_ms - now
        elif isinstance(frame, Refused):
            self._venue_says = frame.text
            _log.warning("venue_refused", text=frame.text[:200])
        elif isinstance(frame, Contract):
            events += self._changed(frame, now)
        for tick in self._normaliser.events(frame, item.connection, now):
            self._heard[tick.symbol, tick.kind] = time.monotonic()
            self._last_ms = max(self._last_ms, min(tick.timestamp, now))
            events.append(tick)
        if events and self._gap is not None:
            detail = f"MEXC speaks again on connection {item.connection}"
            events.insert(0, self._gap_event(ConditionPhase.CLEARED, detail))
            self._gap = None
        return events

    def _lost(self, item: Lost) -> list[Event]:
        _log.warning("mexc_lost", connection=item.connection, reason=item.reason)
        self._heard.clear()
        self._connected = False
        if self._gap is not None:
            self._gap = item.reason
            return []
        return [self._begin_gap(item.reason)]

    def _begin_gap(self, why: str) -> Event:
        self._gap = why
        self._gaps += 1
        return self._gap_event(ConditionPhase.BEGAN, why)

    def _gap_event(self, phase: ConditionPhase, detail: str) -> Event:
        now = self._now_ms()
        unique = f"{self._session}:{self._gaps}"
        return data_gap(self._run_id, now, phase, detail=detail, unique=unique)

    def _changed(self, frame: Contract, now: int) -> list[Event]:
        symbol = str(frame.detail.get("symbol"))
        known = self._contracts.get(symbol)
        if known is None:
            return []
        try:
            contract = _with_funding(decode_contract(frame.detail), known.funding_interval_hours)
        except (KeyError, ValueError, ArithmeticError):
            _log.warning("contract_unreadable", symbol=symbol)
            return []
        if contract == known:
            return []
        self._contracts[symbol] = contract
        return [ticks.instruments(self._run_id, now, (contract,), f"{symbol}:{now}")]

    def _ask_again(self, socket: MexcSocket) -> None:
        """Acknowledgements name no symbol: only data proves a subscription."""
        now = time.monotonic()
        if now - self._asked_at < ASK_AGAIN_S or not self._connected:
            return
        self._asked_at = now
        for symbol in self._contracts:
            for channel, kind in _PROOF.items():
                if (symbol, kind) not in self._heard:
                    socket.send(subscription(channel, symbol))


_PROOF: Final = {"deal": "trade", "depth.full": "depth", "fair.price": "mark"}
_KINDS: Final = ("trade", "depth", "mark", "funding")


def _with_funding(contract: Instrument, hours: int) -> Instrument:
    return replace(contract, funding_interval_hours=hours)
