"""Progress of long work, on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.terminal import SafeConsole
from services.record.reading import Span


@contextmanager
def rows_bar(doing: str, span: Span, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; what is yielded takes the number of rows so far."""
    console = SafeConsole(stderr=True)
    columns = (
        TextColumn(doing),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of about {task.total:,.0f} events"),
        TimeRemainingColumn(),
    )
    shown = not quiet and console.is_terminal
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task("", total=span.upto - span.after)
        yield lambda count: bar.update(task, completed=count)
