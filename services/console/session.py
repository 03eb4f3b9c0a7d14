"""Who may act: a signed session after the console token, same origin, and a CSRF token."""

import hmac
import time
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Request, session

LIFETIME_S: Final = 12 * 3600
"""After so long a person enters the token again."""
LOCAL_NAMES: Final = frozenset({"localhost"})


def sign_sessions(app: Flask, token: str, *, secure: bool = False) -> None:
    """Make the application's sessions depend on the token: another token ends them all.

    Args:
        app: The application.
        token: The console token.
        secure: Whether the page is reached by https only.
    """
    app.secret_key = sha256(b"claire console session " + token.encode()).digest()
    app.config.update(
        SESSION_COOKIE_NAME="claire_console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=secure,
    )


def log_in(given: str, token: str) -> bool:
    """Begin a session if ``given`` is the console token."""
    if not hmac.compare_digest(given.encode(), token.encode()):
        return False
    session.clear()
    session["since"] = int(time.time())
    return True


def log_out() -> None:
    """End the session."""
    session.clear()


def is_logged_in() -> bool:
    """Whether this request belongs to a session that is not too old."""
    since = session.get("since")
    return isinstance(since, int) and 0 <= time.time() - since < LIFETIME_S


def is_same_origin(request: Request) -> bool:
    """Whether a page of this console sent the request; an origin is required."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host


def is_known_host(host: str) -> bool:
    """Whether a request's Host is an IP address or this machine's name.

    A page of another site may point its own name at this address (DNS rebinding); it cannot do
    so with an IP address.
    """
    name = urlsplit(f"//{host}").hostname or ""
    return name in LOCAL_NAMES or ":" in name or name.replace(".", "").isdigit()
