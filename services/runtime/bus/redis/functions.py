"""The library of the bus's server-side functions, which the server's starter loads."""

from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Final

from services.runtime.bus.redis.connection import Connection, ReplyError, Unavailable

FILE: Final = Path(__file__).with_name("library.lua")
DIGEST: Final = "cdb_digest"
"""The function that says which library is loaded; its starter adds it."""


@cache
def digest() -> str:
    """SHA-1 of the library's file, as its starter computes it."""
    return sha1(FILE.read_bytes(), usedforsecurity=False).hexdigest()


def library() -> str:
    """What ``FUNCTION LOAD REPLACE`` takes."""
    return (
        f"{FILE.read_text(encoding='utf-8')}redis.register_function{{function_name='{DIGEST}',"
        f" callback=function() return '{digest()}' end, flags={{'no-writes'}}}}\n"
    )


def load(connection: Connection) -> None:
    """Load the library, unless the server has it from before; as a starter.

    Raises:
        Unavailable: The server cannot take it now.
        ReplyError: It refuses it.
    """
    if loaded(connection) != digest():
        connection.call("FUNCTION", "LOAD", "REPLACE", library())


def require(connection: Connection, server: str) -> None:
    """Check that a server has loaded this program's library.

    Raises:
        Unavailable: It has another one, or none.
    """
    found = loaded(connection)
    if found != digest():
        raise Unavailable(
            f"Redis at {server} has loaded other functions ({found}) than this program needs"
            f" ({digest()}): restart cdb_redis, which loads them at its start"
        )


def loaded(connection: Connection) -> str:
    """Digest of the library that a server has loaded; "none" if it has none."""
    try:
        reply: bytes = connection.call("FCALL_RO", DIGEST, 0)
    except ReplyError as error:
        if "not found" not in str(error):
            raise
        return "none"
    return reply.decode()
