"""What reaches the terminal: tables as wide as it is, and no control character of anybody else's.

Events carry text that was written elsewhere. A terminal obeys what such text may contain: escape
sequences move the cursor, change titles, or write into the clipboard. So all output goes through
`say` and `console`, which replace every control character but line ends and tabs; a test finds
output that does not.
"""

from collections.abc import Iterable
from typing import Any, Final

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from services.explain.printable import printable

FILE_WIDTH: Final = 160


def say(message: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a message, printable only; on stderr if ``err``, without a line end if not ``nl``."""
    click.echo(printable(str(message)), err=err, nl=nl)


class SafeConsole(Console):
    """A rich console that styles what we style, and prints the text of others as it reads.

    Plain strings are no markup: square brackets of an alert would be taken for a style.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(markup=False, emoji=False, **given)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable; rich's own control codes are in segments of their own."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def console(*, stderr: bool = False) -> SafeConsole:
    """A console as wide as the terminal is."""
    return SafeConsole(stderr=stderr)


def wide_console() -> SafeConsole:
    """A console for tables; what reads a pipe or a file wants whole lines."""
    found = SafeConsole()
    return found if found.is_terminal else SafeConsole(width=FILE_WIDTH)
