"""The verb data import: options in, what became of the files out."""

import json
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace
from rich.progress import Progress, TaskID

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import DataFile, FileKind, describe, split_symbol
from services.cdb_ws.sources.files.venue_units import VolumeUnit, units_of
from services.cli.data.data_options import TO, data_folder, progress_bar
from services.cli.failure import BadInput, Failure
from services.cli.json_option import last_line_json_option
from services.cli.terminal import say
from services.datasets.importing import (
    SIDES,
    TIME_UNITS,
    VOLUME_UNITS,
    Dialect,
    Imported,
    import_file,
)
from services.datasets.sets import Overlap, set_name

ONE = Decimal(1)
_IMPORTED_AS = {
    VolumeUnit.BASE: "base",
    VolumeUnit.CONTRACTS: "contracts",
    VolumeUnit.QUOTE_CONTRACTS: "quote",
}

IMPORT_EPILOG = """\b
Examples:
  claire data import binance-usdm_BTCUSDT_trades.csv.gz
  claire data import BTCUSDT-aggTrades-2026-01-01.csv --exchange binance-usdm --symbol BTCUSDT \\
    --kind trades --columns ts_ms=transact_time,qty=quantity,side=is_buyer_maker \\
    --sides true=sell,false=buy
  claire data import bars.parquet --exchange kraken --symbol XBT_USD --kind klines --step 5m \\
    --time-unit s --columns ts_ms=time --volume-unit quote
"""


@click.command("import", epilog=IMPORT_EPILOG)
@click.argument("files", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1,
    required=True,
)  # fmt: skip
@click.option("--exchange", help="Where it is from, such as binance-usdm; without _.")
@click.option("--symbol", help="Its symbol, such as BTC_USDT or BTCUSDT.")
@click.option("--kind", type=click.Choice([kind.value for kind in FileKind]), help="What a row is.")
@click.option("--step", default="", help="Length of a bar: 1m, 5m, 1h.")
@click.option(
    "--columns",
    default="",
    metavar="OURS=THEIRS,...",
    help="Where names differ: of ts_ms price qty side, open high low close volume, bid bid_qty ask"
    " ask_qty, rate. A file without header: its columns' numbers from 0.",
)
@click.option("--no-header", is_flag=True, help="The first line of the csv file is data.")
@click.option("--time-unit", type=click.Choice(TIME_UNITS), default="ms", show_default=True)
@click.option(
    "--volume-unit",
    type=click.Choice(VOLUME_UNITS),
    help="What volume counts: base currency, contracts, or money (quote).",
)
@click.option("--contract-size", help="Base currency, or money, of one contract.")
@click.option("--sides", default="", metavar="THEIRS=buy,...", help="Words for the taker's side.")
@TO
@last_line_json_option
def import_data(
    files: tuple[Path, ...],
    exchange: str | None,
    symbol: str | None,
    kind: str | None,
    step: str,
    columns: str,
    no_header: bool,
    time_unit: str,
    volume_unit: str | None,
    contract_size: str | None,
    sides: str,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Import CSV (also .gz) or Parquet of other sources into data sets, by day.

    What the file's name gives (<exchange>_<symbol>_<kind>.csv) need not be said. Afterwards
    volumes are in base currency. A second import of the same file changes nothing.
    """
    found: list[Imported] = []
    with progress_bar() as progress:
        for file in files:
            target = _target(folder or data_folder(), file, exchange, symbol, kind, step)
            unit, size = _units(file, target, volume_unit, contract_size)
            dialect = Dialect(
                columns=_pairs("--columns", columns),
                header=not no_header,
                time_unit=time_unit,
                volume_unit=unit,
                contract_size=size,
                sides=SIDES | {k.lower(): v for k, v in _pairs("--sides", sides).items()},
            )
            task = progress.add_task(file.name, total=None)
            try:
                one = import_file(file, target, dialect, partial(_advance, progress, task))
            except (DataError, Overlap, OSError) as error:
                raise Failure(str(error)) from None
            progress.update(task, completed=one.accepted, total=one.accepted)
            found.append(one)
    _show_imported(found, as_json=as_json)


def _advance(progress: Progress, task: TaskID, rows: int) -> None:
    progress.update(task, completed=rows)


def _show_imported(found: list[Imported], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"imported": msgspec.to_builtins(found)}))
        return
    for one in found:
        skipped = ", ".join(f"{count} {why}" for why, count in sorted(one.skipped.items()))
        say(
            f"{one.data_set}: {one.accepted:,} rows, {one.days} days written"
            + (f", {one.known} days known already" if one.known else "")
            + (f"; skipped: {skipped}" if skipped else "")
        )


def _target(
    folder: Path,
    file: Path,
    exchange: str | None,
    symbol: str | None,
    kind: str | None,
    step: str,
) -> DataFile:
    try:
        if exchange and symbol and kind:
            name = set_name(exchange, split_symbol(symbol.replace("/", "_")), FileKind(kind), step)
        else:
            described = describe(file)
            name = set_name(
                exchange or described.exchange,
                split_symbol(symbol) if symbol else described.symbol,
                FileKind(kind) if kind else described.kind,
                step or described.step,
            )
        return describe(folder / name)
    except DataError as error:
        raise BadInput(f"{error}; or say --exchange, --symbol and --kind") from None


def _units(file: Path, target: DataFile, unit: str | None, size: str | None) -> tuple[str, Decimal]:
    """What volume counts, and the contract size: as given, else as the venue is known to count."""
    known = units_of(replace(target, path=file, parquet=file.suffix == ".parquet"))
    if unit is None and target.kind is not FileKind.FUNDING:
        if known is None:
            raise BadInput(f"what volume of {file.name} counts is not known: say --volume-unit")
        unit = _IMPORTED_AS[known.unit]
    if size is not None:
        return unit or "base", _contract_size(size)
    if unit == "contracts" and (known is None or known.contract_size is None):
        raise BadInput(f"{file.name} counts contracts: say --contract-size, in base currency")
    counts_contracts = known is not None and unit == _IMPORTED_AS[known.unit]
    return unit or "base", (known.contract_size if known and counts_contracts else None) or ONE


def _contract_size(given: str) -> Decimal:
    try:
        size = Decimal(given)
    except InvalidOperation:
        size = Decimal(0)
    if not (size.is_finite() and size > 0):
        raise BadInput(f"--contract-size {given} is no positive number")
    return size


def _pairs(option: str, text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        ours, separator, theirs = pair.partition("=")
        if not separator or not ours or not theirs:
            raise BadInput(f"{option} {pair}: write NAME=NAME, separated by commas")
        found[ours.strip()] = theirs.strip()
    return found
