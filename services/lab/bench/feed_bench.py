"""The feed's benchmark: one ``cdb_ws`` takes a whole market from the fake exchange, on loopback.

Three processes: the exchange, the bus's server, and ``cdb_ws``; and before that the floor, which
takes the same frames from the same exchange and only parses them as JSON. On a machine with few
cores they disturb one another, so rates are given per second of the process's own processor time
(which is what one core of its own would give), and per second of wall time beside it.
"""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from services.exchange_sim.markets.synthetic_market import symbol_names
from services.lab.bench.feed_bus import FeedBus
from services.runtime.embedded import cpu_time
from services.runtime.embedded.process import EmbeddedServerError, free_port
from services.runtime.service.http_query import get_json
from services.venues.mexc.messages import CHANNELS, subscription

LOOPBACK: Final = "127.0.0.1"
START_S: Final = 60.0
ALL_UP_S: Final = 300.0
ASK_S: Final = 5.0
LOOKS: Final = 12
"""Times that a busy process may leave a question unanswered."""

TAKE_EVERY_S: Final = 0.5
SAMPLE_EVERY_S: Final = 1.0
SUBSCRIPTIONS_PER_SOCKET: Final = 100
STOP_S: Final = 12.0

Say = Callable[[str], None]


class BenchError(RuntimeError):
    """The benchmark could not be run; the message says why."""


class FeedPlan(Struct, frozen=True):
    """How much is measured.

    Attributes:
        symbols: Contracts of the market.
        trades_per_s: Trades of all of them.
        seconds: Length of the phase with ``cdb_ws``.
        floor_seconds: Length of the floor's phase.
        seed: Of the market.
    """

    symbols: int = 1_200
    trades_per_s: float = 5_000.0
    seconds: int = 60
    floor_seconds: int = 30
    seed: int = 1

    @property
    def warm_up_s(self) -> float:
        """Until all is subscribed: ten commands a second on each socket."""
        return SUBSCRIPTIONS_PER_SOCKET / 10 + 5


class Sample(Struct, frozen=True):
    """What was counted at one time.

    Attributes:
        at: Monotonic seconds.
        cpu_s: Processor time of the process under measurement so far.
        rss_bytes: Its memory.
        figures: Counters by name.
    """

    at: float
    cpu_s: float
    rss_bytes: int
    figures: dict[str, float]


class Phase(Struct, frozen=True):
    """The samples of one phase, warm-up left out."""

    samples: list[Sample]

    def per_second(self, name: str) -> float:
        """A counter's rate over wall time."""
        first, last = self.samples[0], self.samples[-1]
        return (last.figures[name] - first.figures[name]) / (last.at - first.at)

    def per_cpu_second(self, name: str) -> float:
        """A counter's rate over the process's own processor time."""
        first, last = self.samples[0], self.samples[-1]
        return (last.figures[name] - first.figures[name]) / max(last.cpu_s - first.cpu_s, 0.01)

    @property
    def cpu_share(self) -> float:
        """Part of one core that the process used."""
        first, last = self.samples[0], self.samples[-1]
        return (last.cpu_s - first.cpu_s) / (last.at - first.at)

    @property
    def slope_kb_per_minute(self) -> float:
        """Growth of memory, by least squares over the second half."""
        half = self.samples[len(self.samples) // 2 :]
        mean_at = sum(sample.at for sample in half) / len(half)
        mean_rss = sum(sample.rss_bytes for sample in half) / len(half)
        spread = sum((sample.at - mean_at) ** 2 for sample in half)
        if not spread:
            return 0.0
        together = sum((s.at - mean_at) * (s.rss_bytes - mean_rss) for s in half)
        return together / spread * 60 / 1024


def run(folder: Path, plan: FeedPlan, say: Say) -> dict[str, Any]:
    """Measure the floor, then ``cdb_ws``.

    Args:
        folder: For the server's data and the logs.
        plan: How much.
        say: Called with what goes on.

    Returns:
        The figures, JSON-able.

    Raises:
        BenchError: Something did not start, or broke.
    """
    folder.mkdir(parents=True, exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    say(f"floor: receive and parse as JSON, {plan.floor_seconds} s")
    floor = _floor(folder, plan)
    say(f"  {floor.per_cpu_second('frames'):,.0f} frames per second of processor time")
    say(f"cdb_ws: {plan.symbols:,} symbols, {plan.trades_per_s:,.0f} trades/s, {plan.seconds} s")
    feed = _feed(folder, plan, say)
    return _figures(plan, floor, feed) | {"machine": machine}


def _figures(plan: FeedPlan, floor: Phase, feed: Phase) -> dict[str, Any]:
    frames, floor_frames = feed.per_cpu_second("frames"), floor.per_cpu_second("frames")
    last = feed.samples[-1]
    return {
        "frames_per_s": round(feed.per_second("frames")),
        "frames_per_cpu_s": round(frames),
        "floor_frames_per_s": round(floor.per_second("frames")),
        "floor_frames_per_cpu_s": round(floor_frames),
        "ratio_to_floor": round(frames / floor_frames, 3) if floor_frames else None,
        "trades_per_s": round(feed.per_second("trades")),
        "trades_offered_per_s": round(feed.per_second("offered")),
        "published_per_s": round(feed.per_second("published")),
        "cpu_share": round(feed.cpu_share, 3),
        "cpu_us_per_frame": round(1e6 / frames, 1) if frames else None,
        "symbols": plan.symbols,
        "seconds": round(last.at - feed.samples[0].at, 1),
        "rss_mb": round(last.rss_bytes / 2**20, 1),
        "rss_slope_kb_per_minute": round(feed.slope_kb_per_minute, 1),
    }


def _floor(folder: Path, plan: FeedPlan) -> Phase:
    symbols = symbol_names(plan.symbols)
    commands = [subscription(channel, symbol) for symbol in symbols for channel in CHANNELS]
    sockets = -(-len(commands) // SUBSCRIPTIONS_PER_SOCKET)
    frames = _Latest()
    with _exchange(folder, plan) as port:
        module = "services.lab.bench.floor.feed"
        command = [sys.executable, "-m", module, f"ws://{LOOPBACK}:{port}/edge", str(sockets)]
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            reading = threading.Thread(target=frames.read, args=(process.stdout,), daemon=True)
            try:
                process.stdin.write("\n".join(commands))
                process.stdin.close()
                reading.start()
                _wait(lambda: frames.value > 0, process, "the floor received nothing")
                time.sleep(plan.warm_up_s)
                return _measure(process, plan.floor_seconds, lambda: {"frames": frames.value})
            finally:
                _stop(process)
                reading.join(STOP_S)


class _Latest:
    """The last number that a process wrote."""

    def __init__(self) -> None:
        self.value = 0

    def read(self, lines: Any) -> None:
        for line in lines:
            self.value = int(line)


def _feed(folder: Path, plan: FeedPlan, say: Say) -> Phase:
    with _exchange(folder, plan) as port, FeedBus(folder) as bus:
        http = free_port()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = inherited | bus.environment() | {
            "CDB_ENV_FILE": os.devnull,
            "CDB_SOURCE": "mexc",
            "CLAIRE_HOME": str(folder),
            "MEXC_WS_URL": f"ws://{LOOPBACK}:{port}/edge",
            "MEXC_REST_URL": f"http://{LOOPBACK}:{port}",
            "HTTP_HOST": LOOPBACK,
            "HTTP_PORT": str(http),
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        with (folder / "cdb_ws.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.cdb_ws"], env=environment, stdout=log, stderr=log
            )
        try:
            bus.begin_run({
                "CDB_SPEED": "1",
                "SYMBOL_WHITELIST": ",".join(symbol_names(plan.symbols)),
                "LOOKBACK_MINUTES": "0",
            })  # fmt: skip
            return _watch(process, _Look(bus, port, http), plan, say)
        finally:
            _stop(process)


class _Look:
    """Looks at the exchange, at ``cdb_ws`` and at the bus, and keeps the bus going meanwhile."""

    def __init__(self, bus: FeedBus, exchange_port: int, http_port: int) -> None:
        self._bus = bus
        self._exchange = f"http://{LOOPBACK}:{exchange_port}/sim/status"
        self._status = f"http://{LOOPBACK}:{http_port}/status"
        self.symbols_up = 0

    def keep_going(self) -> int:
        """Trim the bus as its readers would; returns its head."""
        return self._bus.take_everything()

    def once(self) -> dict[str, float] | None:
        """What the two say; None where one of them does not answer now."""
        head = self.keep_going()
        status, offered = get_json(self._status, ASK_S), get_json(self._exchange, ASK_S)
        if not (status.status and offered.status):
            return None
        return self._figures(head, status.body, offered.body)

    def __call__(self) -> dict[str, float]:
        for _ in range(LOOKS):
            if (figures := self.once()) is not None:
                return figures
            time.sleep(TAKE_EVERY_S)
        raise BenchError(f"cdb_ws or the exchange did not answer {LOOKS} times")

    def _figures(
        self, head: int, status: dict[str, Any], exchange: dict[str, Any]
    ) -> dict[str, float]:
        market = status.get("market") or {}
        sockets = (market.get("sockets") or {}).values()
        self.symbols_up = sum(socket["symbols"] for socket in sockets if socket["up"])
        return {
            "frames": float(market.get("frames") or 0),
            "trades": float((status.get("ticks_by_kind") or {}).get("trade") or 0),
            "published": float(head),
            "offered": float(exchange.get("trades_made") or 0),
        }


def _watch(process: "subprocess.Popen[bytes]", look: _Look, plan: FeedPlan, say: Say) -> Phase:
    def all_speak() -> bool:
        look.once()
        return look.symbols_up >= plan.symbols

    _wait(all_speak, process, "cdb_ws did not hear every symbol", ALL_UP_S)
    say(f"  all {plan.symbols:,} symbols are heard")
    until = time.monotonic() + plan.warm_up_s
    while time.monotonic() < until:
        look.keep_going()
        time.sleep(TAKE_EVERY_S)
    return _measure(process, plan.seconds, look, look.keep_going)


def _measure(
    process: "subprocess.Popen[Any]",
    seconds: int,
    look: Callable[[], dict[str, float]],
    meanwhile: Callable[[], object] = lambda: None,
) -> Phase:
    """Sample a process for so long.

    Its counters are asked for at the beginning and at the end only: to be asked costs it time.
    """
    samples = [_sample(process, look())]
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_EVERY_S, left))
        meanwhile()
        samples.append(_sample(process, samples[0].figures))
    return Phase([*samples, _sample(process, look())])


def _sample(process: "subprocess.Popen[Any]", figures: dict[str, float]) -> Sample:
    _alive(process)
    cpu_s = cpu_time.of_family(process.pid)
    return Sample(time.monotonic(), cpu_s, _rss(process.pid), figures)


def _rss(pid: int) -> int:
    """Resident memory in bytes; 0 without /proc."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _exchange(folder: Path, plan: FeedPlan) -> Iterator[int]:
    """The fake exchange as a process; gives its port."""
    port = free_port()
    command = [
        sys.executable, "-m", "services.cli.main", "exchange-sim", "--port", str(port),
        "--seed", str(plan.seed), "--symbols-count", str(plan.symbols),
        "--rate", str(plan.trades_per_s), "--history", "2", "--control",
    ]  # fmt: skip
    with (folder / "exchange.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own program
    try:
        address = f"http://{LOOPBACK}:{port}/api/v1/contract/ping"
        _wait(lambda: get_json(address).status == 200, process, "the exchange did not start")
        yield port
    finally:
        _stop(process)


def _wait(
    reached: Callable[[], bool],
    process: "subprocess.Popen[Any]",
    what: str,
    seconds: float = START_S,
) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        _alive(process)
        if time.monotonic() > deadline:
            raise BenchError(f"{what} within {seconds:g} s")
        time.sleep(0.1)


def _alive(process: "subprocess.Popen[Any]") -> None:
    if process.poll() is not None:
        command: Sequence[str] = process.args  # type: ignore[assignment]
        raise BenchError(f"{' '.join(command[1:4])} ended with code {process.returncode}")


def _stop(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


__all__ = ["BenchError", "EmbeddedServerError", "FeedPlan", "run"]
