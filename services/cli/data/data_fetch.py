"""The verb data fetch: which days of which symbols, a progress bar, and what came."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import click
import msgspec

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import split_symbol
from services.cli.data.data_options import TO, data_folder, progress_bar
from services.cli.failure import BadInput, Failure
from services.cli.json_option import last_line_json_option
from services.cli.target import environment_values
from services.cli.terminal import say
from services.datasets.fetching import INTERVALS, Fetched, Fetcher, FetchError, Wanted
from services.venues.mexc.network import InternetNetwork
from services.venues.mexc.rest import MexcRest, hosts_for

DEFAULT_DAYS = 30
DEFAULT_URL = "https://contract.mexc.com"

FETCH_EPILOG = """\b
Examples:
  claire data fetch BTC_USDT ETH_USDT --days 30
  claire data fetch BTC_USDT --since 2026-10-01 --until 2026-10-31 --step 5m
  claire run-paper --data .claire/data --instruments .claire/data/mexc-perp_instruments.json
"""


@click.command("fetch", epilog=FETCH_EPILOG)
@click.argument("symbols", nargs=-1, required=True)
@click.option(
    "--days", type=click.IntRange(min=1), help=f"The last days.  [default: {DEFAULT_DAYS}]"
)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC).")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day (UTC); else today.")
@click.option(
    "--step", type=click.Choice(list(INTERVALS)), default="1m", show_default=True,
    help="Length of a bar.",
)  # fmt: skip
@click.option("--klines/--no-klines", default=True, help="Whether to fetch bars.")
@click.option("--funding/--no-funding", default=True, help="Whether to fetch funding rates.")
@TO
@click.option("--rest-url", help="Instead of MEXC_REST_URL.")
@last_line_json_option
def fetch_data(
    symbols: tuple[str, ...],
    days: int | None,
    since: datetime | None,
    until: datetime | None,
    step: str,
    klines: bool,
    funding: bool,
    folder: Path | None,
    rest_url: str | None,
    as_json: bool,
) -> None:
    """Fetch bars, settled funding rates and contract details from MEXC, by day.

    Days that are there already are not fetched again: an interrupted command goes on where it was.
    """
    if days and since:
        raise BadInput("--days and --since exclude each other")
    last = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    first = last - timedelta(days=(days or DEFAULT_DAYS) - 1)
    if since:
        first = since.replace(tzinfo=UTC)
    if first > last:
        raise BadInput(f"--since {first:%Y-%m-%d} is after {last:%Y-%m-%d}")
    wanted = Wanted(
        symbols=tuple(dict.fromkeys(map(split_symbol, symbols))),
        step=step if klines else "",
        funding=funding,
        since_ms=int(first.timestamp() * 1000),
        until_ms=int(last.timestamp() * 1000) + 1,
    )
    url = rest_url or environment_values().get("MEXC_REST_URL") or DEFAULT_URL
    fetched = _fetch(wanted, folder or data_folder(), url)
    if as_json:
        say(json.dumps(msgspec.to_builtins(fetched)))
    else:
        say(
            f"{fetched.rows:,} rows of {fetched.days} days fetched,"
            f" {fetched.known} days were there already"
        )


def _fetch(wanted: Wanted, folder: Path, url: str) -> Fetched:
    rest = MexcRest(InternetNetwork(), hosts_for(url), Random())  # noqa: S311 - jitter
    with progress_bar() as progress:
        task = progress.add_task("days", total=wanted.work)
        fetcher = Fetcher(
            rest, folder, lambda: int(time.time() * 1000), lambda n: progress.advance(task, n)
        )
        try:
            return asyncio.run(fetcher.fetch(wanted))
        except (FetchError, DataError, OSError) as error:
            raise Failure(str(error)) from None
        except KeyboardInterrupt:
            raise Failure("stopped; run it again to go on") from None
