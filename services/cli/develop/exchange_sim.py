"""The verb exchange-sim: a fake MEXC for tests, demonstrations and work without a network."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click

from services.cdb_ws.data_error import DataError
from services.cli.failure import BadInput, Failure
from services.cli.terminal import say
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.faults.faults import (
    MEANING,
    NO_FAULTS,
    Script,
    ScriptError,
    read_script,
    script_from_seed,
)
from services.exchange_sim.markets.market import SimMarket
from services.exchange_sim.markets.recorded_market import RecordedMarket
from services.exchange_sim.markets.synthetic_market import SyntheticMarket, symbol_names
from services.exchange_sim.pusher import Pace
from services.exchange_sim.server import WS_PATH, ExchangeServer

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
"""The synthetic prices begin at 00:00 UTC: a restart on the same day goes on with them."""

FAULTS_SPAN_S = 3600.0
"""The faults of a seed are spread over this long."""

EPILOG = """\b
Examples:
  claire exchange-sim                                    # then, in another terminal:
  MEXC_WS_URL=ws://127.0.0.1:9000/edge MEXC_REST_URL=http://127.0.0.1:9000 \\
      claire run-paper --fresh --source mexc --symbols BTC_USDT
  claire exchange-sim --data binance-usdm_BTCUSDT_trades.csv.gz --speed 10
  claire exchange-sim --symbols-count 1200 --rate 5000   # the whole market
  claire exchange-sim --control                          # curl 127.0.0.1:9000/sim/faults
  claire exchange-sim --list-faults

A script of faults: {"faults": [{"kind": "drop", "at_s": 30},
  {"kind": "silence", "at_s": 60, "for_s": 45, "symbol": null}]}
"""


@click.command("exchange-sim", epilog=EPILOG)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), multiple=True,
    help="Recorded market: data files, or a recording's folder. Without: synthetic.",
)  # fmt: skip
@click.option("--instruments", type=FILE, help="Contract details for --data.")
@click.option("--repeat", is_flag=True, help="Begin --data again at its end.")
@click.option("--seed", type=int, default=42, show_default=True, help="Market and chance.")
@click.option("--symbols", help="Contracts of the synthetic market, with commas between.")
@click.option(
    "--symbols-count", type=click.IntRange(1, 5_000), default=5, show_default=True,
    help="How many contracts, where --symbols names none.",
)  # fmt: skip
@click.option(
    "--rate", type=click.FloatRange(min=0.01), default=10.0, show_default=True,
    help="Trades per second of the synthetic market, all contracts together.",
)  # fmt: skip
@click.option(
    "--speed", type=click.FloatRange(min=0.001, max=10_000), default=1.0, show_default=True,
    help="Market minutes per minute. Trades are stamped with the present time all the same.",
)  # fmt: skip
@click.option(
    "--history", type=click.IntRange(0, 1_440), default=30, show_default=True,
    help="Minutes of the past that REST has at the start.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=9000, show_default=True)
@click.option("--script", type=FILE, help="Faults, as JSON; see below.")
@click.option("--faults", type=int, help="Faults from this seed, spread over an hour.")
@click.option("--control", is_flag=True, help="Begin and clear faults at /sim/faults.")
@click.option("--gzip", "compressed", is_flag=True, help="Send binary frames.")
@click.option(
    "--book-ms", type=click.IntRange(min=20), default=250, show_default=True,
    help="Least time between two books of a contract.",
)  # fmt: skip
@click.option("--list-faults", is_flag=True, help="What can go wrong, then exit.")
@click.option("--json", "as_json", is_flag=True, help="The addresses as one JSON object.")
def exchange_sim(list_faults: bool, **given: Any) -> None:
    """A fake MEXC: its WebSocket and REST protocol over a recorded or synthetic market.

    cdb_ws connects to it unchanged. It keeps the venue's limits, and it can fail in every way that
    --list-faults names, by a script, by chance or by hand.
    """
    if list_faults:
        _list_faults()
        return
    options = SimOptions(**given)
    try:
        market = options.market()
        exchange = Exchange(
            market, options.script_for(market), _now_ms, Random(options.seed),  # noqa: S311
            pace=Pace(book=options.book_ms), compressed=options.compressed,
        )  # fmt: skip
    except (DataError, ScriptError) as error:
        raise BadInput(str(error)) from None
    server = ExchangeServer(exchange, options.host, options.port, control=options.control)
    _run(server, exchange, options.as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimOptions:
    """What the command was given."""

    data: tuple[Path, ...]
    instruments: Path | None
    repeat: bool
    seed: int
    symbols: str | None
    symbols_count: int
    rate: float
    speed: float
    history: int
    host: str
    port: int
    script: Path | None
    faults: int | None
    control: bool
    compressed: bool
    book_ms: int
    as_json: bool

    def market(self) -> SimMarket:
        """The recorded market, or the synthetic one.

        Raises:
            DataError: A file is missing or unusable.
            BadInput: A contract's name is none.
        """
        if self.data:
            return RecordedMarket(
                self.data, self.instruments, speed=self.speed,
                history_minutes=self.history, repeat=self.repeat,
            )  # fmt: skip
        return SyntheticMarket(
            self.seed, _names(self.symbols) or symbol_names(self.symbols_count),
            trades_per_second=self.rate, speed=self.speed, history_minutes=self.history,
            opened_at_minute=_now_ms() % DAY_MS / MINUTE_MS * self.speed,
        )  # fmt: skip

    def script_for(self, market: SimMarket) -> Script:
        """The faults, from a file, from a seed, or none.

        Raises:
            ScriptError: The file is unusable.
            BadInput: Both are given.
        """
        if self.script is not None and self.faults is not None:
            raise BadInput("--script and --faults both name the faults; give one of them")
        names = [contract.symbol for contract in market.contracts]
        if self.faults is not None:
            return script_from_seed(self.faults, FAULTS_SPAN_S, names, most=30)
        if self.script is None:
            return NO_FAULTS
        script = read_script(self.script)
        strange = {fault.symbol for fault in script.faults if fault.symbol} - set(names)
        if strange:
            wrong = ", ".join(sorted(strange))
            raise ScriptError(f"{self.script}: no contract {wrong} in this market")
        return script


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _run(server: ExchangeServer, exchange: Exchange, as_json: bool) -> None:
    try:
        asyncio.run(_until_stopped(server, lambda: _say(server, exchange, as_json)))
    except OSError as error:
        where = f"{server.host}:{server.wanted_port}"
        raise Failure(f"cannot listen on {where}: {error}; choose another --port") from None
    except ExceptionGroup as group:
        faults = group.subgroup(DataError)
        if faults is None:
            raise
        raise Failure(str(faults.exceptions[0])) from None  # in the middle of a file


async def _until_stopped(server: ExchangeServer, started: Callable[[], None]) -> None:
    """Run until SIGTERM or Ctrl-C, which asyncio turns into a cancellation as well."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # Windows knows no SIGTERM
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await server.run(started)


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip().upper() for name in (text or "").split(",") if name.strip())
    wrong = [name for name in names if not all(name.partition("_"))]
    if wrong:
        raise BadInput(f"{', '.join(wrong)}: a contract is named BASE_QUOTE, such as BTC_USDT")
    return names


def _list_faults() -> None:
    for kind, meaning in MEANING.items():
        amount = f" (amount: {meaning.amount}, {meaning.default:g})" if meaning.amount else ""
        say(f"{kind:15} {meaning.text}{amount}{', at once' if meaning.instant else ''}")


def _say(server: ExchangeServer, exchange: Exchange, as_json: bool) -> None:
    where = f"{server.host}:{server.port}"
    addresses = {
        "MEXC_WS_URL": f"ws://{where}{WS_PATH}",
        "MEXC_REST_URL": f"http://{where}",
        "symbols": list(exchange.symbols),
    }
    if as_json:
        say(json.dumps(addresses))
    else:
        count = len(exchange.symbols)
        say(f"MEXC_WS_URL={addresses['MEXC_WS_URL']}")
        say(f"MEXC_REST_URL={addresses['MEXC_REST_URL']}")
        say(f"{count} contract(s) open; Ctrl-C ends it", err=True)
