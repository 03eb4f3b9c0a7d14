"""The routes that read the record: each a view of a run, or an explanation."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request

from services.console import chart, record, refusals
from services.console.candles import INTERVALS, CandleBook
from services.console.reader import RecordReader
from services.explain.archive import UnknownIdError
from services.runtime.database.connections import Connection

Body = Mapping[str, Any]
Answer = tuple[Response, int] | Response
RunView = Callable[[Connection, str], Body]


def record_pages(reader: RecordReader) -> Blueprint:
    """Everything under ``/api`` that is read from the record.

    Args:
        reader: Reads the record.
    """
    pages = Blueprint("record", __name__, url_prefix="/api")
    book = CandleBook()

    def of_run(view: RunView) -> Callable[[str], Answer]:
        def answer(run_id: str) -> Answer:
            with reader.reading() as connection:
                return jsonify(view(connection, run_id))

        return answer

    def symbols(connection: Connection, run_id: str) -> Body:
        return {"symbols": book.symbols(connection, run_id)}

    for name, view in (_RUN_VIEWS | {"symbols": symbols}).items():
        pages.add_url_rule(f"/runs/<run_id>/{name}", name, of_run(view))

    @pages.get("/runs")
    def _runs() -> Answer:
        with reader.reading() as connection:
            return jsonify(runs=record.runs(connection))

    @pages.get("/runs/<run_id>/chart/<symbol>")
    def _chart(run_id: str, symbol: str) -> Answer:
        interval = request.args.get("interval", "1m")
        if interval not in INTERVALS:
            known = ", ".join(INTERVALS)
            return jsonify(error=f"interval {interval!r:.20} is not one of {known}"), 400
        with reader.reading() as connection:
            candles, is_whole = book.candles(connection, run_id, symbol, INTERVALS[interval])
            drawn = chart.overlays(connection, run_id, symbol)
        return jsonify(candles=candles, is_whole=is_whole, interval=interval, **drawn)

    @pages.get("/explain/<identity>")
    def _explain(identity: str) -> Answer:
        with reader.reading() as connection:
            try:
                return jsonify(record.explanation(connection, identity))
            except UnknownIdError as error:
                return jsonify(error=str(error)), 404

    return pages


def _trades(connection: Connection, run_id: str) -> Body:
    return {"rows": record.trades(connection, run_id, request.args.get("symbol"))}


def _orders(connection: Connection, run_id: str) -> Body:
    symbol, before = request.args.get("symbol"), request.args.get("before", type=int)
    return {"rows": record.orders(connection, run_id, symbol, before), "page": record.PAGE}


def _events(connection: Connection, run_id: str) -> Body:
    kind, text = request.args.get("type"), request.args.get("text")
    before = request.args.get("before", type=int)
    return {"rows": record.events(connection, run_id, kind, text, before), "page": record.PAGE}


def _layers(connection: Connection, run_id: str) -> Body:
    return {"decision": record.last_entry_decision(connection, run_id)}


_RUN_VIEWS: Final[dict[str, RunView]] = {
    "why": refusals.why_view,
    "equity": record.equity,
    "layers": _layers,
    "trades": _trades,
    "orders": _orders,
    "events": _events,
}
"""Last part of the path to what it shows; the names in ``request.args`` are the view's own."""
