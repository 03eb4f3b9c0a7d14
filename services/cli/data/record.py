"""The verb record: the market into a folder, without a bus and without trading."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from services.cdb_ws.data_error import DataError
from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.live.market_recording import LiveRecording
from services.cdb_ws.recording import packing
from services.cdb_ws.recording.recorder import Recorder
from services.cdb_ws.recording.store import FolderBusyError
from services.cli.data.data_options import FOLDER, recordings_folder
from services.cli.failure import Failure
from services.cli.interruption import sigterm_as_interrupt
from services.cli.json_option import last_line_json_option
from services.cli.run.run_options import Duration
from services.cli.target import environment_values
from services.cli.terminal import SafeConsole, say
from services.kernel.events import Alert
from services.kernel.settings.model import SettingError
from services.runtime.embedded.home import Home
from services.runtime.service import logging
from services.runtime.settings import model as runtime_settings
from services.runtime.settings.model import Settings
from services.venues.mexc.network import InternetNetwork
from services.venues.mexc.rest import hosts_for

SHOW_EVERY_S = 0.5

EPILOG = """\b
Examples:
  claire record --symbols BTC_USDT,ETH_USDT
  claire record --top-n 20 --duration 24h --to /mnt/recordings
  claire run-paper --data .claire/recordings/2026-11-21
"""


@click.command(epilog=EPILOG)
@click.option("--symbols", help="Separated by commas; without it the TOP_N that move most.")
@click.option("--top-n", type=click.IntRange(min=1, max=500), help="How many of those.")
@click.option("--duration", type=Duration(), help="How long: 90s, 15m, 24h; else until Ctrl-C.")
@click.option("--to", "folder", type=FOLDER, help="The recording.  [default: in CLAIRE_HOME]")
@click.option("--frames/--no-frames", default=True, help="Whether raw frames are kept as well.")
@last_line_json_option
def record(
    symbols: str | None,
    top_n: int | None,
    duration: int | None,
    folder: Path | None,
    frames: bool,
    as_json: bool,
) -> None:
    """Record MEXC's market: raw frames and normalised events, Parquet by day and symbol.

    An interrupted recording goes on in the same folder; what was missed meanwhile is marked.
    """
    given = {"SYMBOL_WHITELIST": symbols or "", "TOP_N": str(top_n or "")}
    settings = _load({name: value for name, value in given.items() if value})
    logging.configure("claire", "WARNING", settings.secrets())
    target = (folder or recordings_folder()).absolute()
    recorder = Recorder(target, frames=frames)
    try:
        recorder.open()
    except (FolderBusyError, DataError, OSError) as error:
        raise Failure(f"{error}") from None
    recorder.start()
    live = LiveRecording(InternetNetwork(), _config(settings), Random(), recorder, _report)  # noqa: S311 - jitter
    try:
        with sigterm_as_interrupt(), _display(live, recorder, quiet=as_json) as show:
            asyncio.run(_record(live, duration, show))
    except KeyboardInterrupt:
        pass  # the usual end of a recording
    finally:
        recorder.close()
    with contextlib.suppress(FolderBusyError):
        packing.pack(target, lambda path: say(f"packed {path.stem}", err=True))
    if as_json:
        say(json.dumps(recorder.counts()))
    else:
        say(
            f"{target}: {recorder.events_written:,} events and {recorder.frames_written:,} frames"
            f" recorded, {recorder.dropped:,} lost; `claire data check {target}`"
        )


def _load(given: dict[str, str]) -> Settings:
    try:
        return runtime_settings.load(
            environ=dict(environment_values()), env_file=None, overrides=given
        )
    except SettingError as error:
        raise Failure(str(error)) from None


def _config(settings: Settings) -> EngineConfig:
    return EngineConfig(
        run_id=f"recording-{time.time_ns() // 1_000_000}",
        ws_url=settings.mexc_ws_url,
        rest_urls=hosts_for(settings.mexc_rest_url),
        symbols=settings.symbol_whitelist,
        top_n=settings.top_n,
        lookback_minutes=settings.trading.lookback_minutes,
        cache=Home.from_environment(os.environ).folder / "cache",
    )


async def _record(live: LiveRecording, seconds: int | None, show: Callable[[], None]) -> None:
    recording = asyncio.create_task(live.run(seconds))
    while not recording.done():
        show()
        await asyncio.wait([recording], timeout=SHOW_EVERY_S)
    await recording


@contextlib.contextmanager
def _display(live: LiveRecording, recorder: Recorder, *, quiet: bool) -> Any:
    if quiet:
        yield lambda: None
        return
    shown = Live(
        _figures(live, recorder), console=SafeConsole(), refresh_per_second=4, transient=True
    )
    with shown as screen:
        yield lambda: screen.update(_figures(live, recorder))


def _figures(live: LiveRecording, recorder: Recorder) -> Table:
    table = Table(show_header=False, box=None)
    engine = live.engine
    table.add_row("symbols", f"{len(engine.feeds)}")
    table.add_row("frames received", f"{engine.frames:,}")
    table.add_row("events recorded", f"{recorder.events_written:,}")
    table.add_row("frames recorded", f"{recorder.frames_written:,}")
    if recorder.dropped:
        table.add_row("lost", f"{recorder.dropped:,}")
    if recorder.trouble:
        table.add_row("trouble", recorder.trouble)
    table.add_row("", "Ctrl-C ends the recording")
    return table


def _report(alert: Alert) -> None:
    say(f"{alert.level} {alert.code} {alert.phase}: {alert.message}", err=True)
