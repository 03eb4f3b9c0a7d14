"""The console's pages and their data: Flask routes, each a few lines over a module of this room."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec

from flask import Blueprint, Flask, Response, jsonify, render_template, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf
from werkzeug.exceptions import HTTPException

from services import __version__
from services.console import actions, session
from services.console.reader import BusyError, RecordReader
from services.console.record_pages import record_pages
from services.console.settings_view import settings_view
from services.console.sources import DeskSources
from services.console.watch import ANSWER_S, Watch
from services.runtime.database.address import DatabaseAwayError, DatabaseRefusedError
from services.runtime.operator.channel import NoAnswerError
from services.runtime.service import logging
from services.runtime.service.http_query import get_json
from services.web.vendored import ASSETS, CHART_NOTICE

HERE: Final = Path(__file__).parent
PASSED_ON: Final = frozenset({"health", "status"})
MOST_BODY_BYTES: Final = 16_384
CONTENT_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_log = logging.get(__name__)
P = ParamSpec("P")
Answer = tuple[Response, int] | Response


def create_app(sources: DeskSources, watch: Watch, reader: RecordReader) -> Flask:
    """The WSGI application.

    Args:
        sources: What is shown, and the token.
        watch: Reads the services.
        reader: Reads the record.
    """
    app = Flask(
        "console", static_folder=str(HERE / "static"), template_folder=str(HERE / "templates")
    )
    app.config.update(MAX_CONTENT_LENGTH=MOST_BODY_BYTES, WTF_CSRF_TIME_LIMIT=None)
    session.sign_sessions(app, sources.token)
    CSRFProtect(app)
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    app.before_request(_refuse_strange_hosts)
    app.after_request(_guard)
    for error in (DatabaseAwayError, DatabaseRefusedError, BusyError, NoAnswerError):
        app.register_error_handler(error, _away)
    app.register_error_handler(CSRFError, _no_csrf)
    app.register_error_handler(Exception, _failed)
    app.register_blueprint(_shell(sources))
    app.register_blueprint(_live(sources, watch))
    app.register_blueprint(_passing_on(sources))
    app.register_blueprint(record_pages(reader))
    app.register_blueprint(_acting(sources, watch, limiter))
    return app


def _shell(sources: DeskSources) -> Blueprint:
    pages = Blueprint("shell", __name__)

    @pages.get("/")
    def _page() -> str:
        return render_template(
            "console.html",
            label=sources.label,
            version=__version__,
            assets={asset.package: asset for asset in ASSETS if asset.media_type != "text/css"},
            chart_notice=CHART_NOTICE,
        )

    @pages.get("/vendor/<name>")
    def _vendor(name: str) -> Answer:
        for asset in ASSETS:
            if asset.name == name:
                response = Response(asset.text, content_type=f"{asset.media_type}; charset=utf-8")
                response.headers["Cache-Control"] = "public, max-age=86400"
                return response
        return jsonify(error=f"no vendored file {name!r:.60}"), 404

    return pages


def _live(sources: DeskSources, watch: Watch) -> Blueprint:
    pages = Blueprint("live", __name__, url_prefix="/api")

    @pages.get("/now")
    def _now() -> Answer:
        return jsonify(watch.view)

    @pages.get("/settings")
    def _settings() -> Answer:
        return jsonify(settings_view(watch.settings))

    @pages.get("/session")
    def _session() -> Answer:
        return jsonify(
            logged_in=session.is_logged_in(),
            csrf_token=generate_csrf(),
            confirmations=actions.CONFIRMATIONS,
            token_place=sources.token_place,
        )

    return pages


def _passing_on(sources: DeskSources) -> Blueprint:
    """What services answer whose ports this machine does not have."""
    pages = Blueprint("passing_on", __name__, url_prefix="/services")

    @pages.get("/<service>/<page>")
    def _pass_on(service: str, page: str) -> Answer:
        url = sources.services.get(service)
        if url is None or page not in PASSED_ON:
            return jsonify(error=f"no service {service!r:.40} with a page {page!r:.40}"), 404
        answer = get_json(f"{url}/{page}", ANSWER_S)
        return jsonify(answer.body), answer.status or 504

    return pages


def _acting(sources: DeskSources, watch: Watch, limiter: Limiter) -> Blueprint:
    pages = Blueprint("acting", __name__, url_prefix="/api")

    @pages.post("/login")
    @limiter.limit("5 per minute; 30 per hour")
    @_from_own_page
    def _login() -> Answer:
        if not session.log_in(str(_body().get("token") or ""), sources.token):
            _log.warning("console_login_refused", address=request.remote_addr)
            return jsonify(error=f"not the console token; it is {sources.token_place}"), 403
        return jsonify(logged_in=True, csrf_token=generate_csrf())

    @pages.post("/logout")
    @_from_own_page
    def _logout() -> Answer:
        session.log_out()
        return jsonify(logged_in=False, csrf_token=generate_csrf())

    @pages.post("/actions/<action>")
    @limiter.limit("30 per minute")
    @_from_own_page
    def _act(action: str) -> Answer:
        if not session.is_logged_in():
            return jsonify(error="enter the console token first"), 401
        body = _body()
        try:
            reason = actions.check(action, body)
            return jsonify(_done(action, reason, body))
        except actions.ActionRefusedError as error:
            return _bad(str(error))

    def _done(action: str, reason: str, body: dict[str, Any]) -> dict[str, Any]:
        symbol = str(body["symbol"]).upper() if body.get("symbol") else None
        who = f"{actions.ISSUED_BY} {request.remote_addr}"
        _log.info("console_action", action=action, symbol=symbol, reason=reason, by=who)
        if not action.startswith("close"):
            return actions.command(sources.bus, action, reason, symbol, who)
        held = [
            position
            for position in watch.read()["positions"]
            if action == "close-all" or position["symbol"] == symbol
        ]
        if not held:
            raise actions.ActionRefusedError(f"no open position{f' in {symbol}' if symbol else ''}")
        closings = [actions.close(sources.bus, position, reason) for position in held]
        return {"action": action, "closings": closings}

    return pages


def _from_own_page(answer: Callable[P, Answer]) -> Callable[P, Answer]:
    """Refuse what another site's page sent."""

    @wraps(answer)
    def checked(*args: P.args, **given: P.kwargs) -> Answer:
        if not session.is_same_origin(request):
            return jsonify(error="the request does not come from a page of this console"), 403
        return answer(*args, **given)

    return checked


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    return body if isinstance(body, dict) else {}


def _bad(message: str) -> Answer:
    return jsonify(error=message), 400


def _refuse_strange_hosts() -> Answer | None:
    if session.is_known_host(request.host):
        return None
    return jsonify(error=f"Host {request.host!r:.80} is not this machine; open its IP address"), 421


def _guard(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


def _away(error: Exception) -> Answer:
    return jsonify(error=str(error)), 503


def _no_csrf(error: CSRFError) -> Answer:
    return jsonify(error=f"{error.description} Load the page again."), 400


def _failed(error: Exception) -> Answer:
    if isinstance(error, HTTPException):
        return jsonify(error=error.description or error.name), error.code or 500
    _log.error("console_page_failed", path=request.path, exc_info=error)
    return jsonify(error="this page failed; the console's log has the reason"), 500
