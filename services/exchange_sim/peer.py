"""Who is connected to the exchange, as the exchange sees it: a real socket, or a pipe in memory."""

from typing import Protocol

Frame = str | bytes
"""A text frame, or a binary one."""


class PeerGone(Exception):
    """The connection has ended; the message says how, where that is known."""


class Peer(Protocol):
    """The other end of one WebSocket connection."""

    async def send(self, frame: Frame) -> None:
        """Send a frame; it may wait while the other end does not read.

        Raises:
            PeerGone: The connection has ended.
        """

    async def recv(self) -> Frame:
        """The next frame.

        Raises:
            PeerGone: The connection has ended.
        """

    async def close(self, code: int) -> None:
        """End the connection in order, with a close frame."""

    def abort(self) -> None:
        """Cut the connection without a close frame."""
