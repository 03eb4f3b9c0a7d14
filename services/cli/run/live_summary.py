"""What a person sees of a run: a live picture while it goes on, a table at the end."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.run.paper_run import Progress
from services.cli.terminal import SafeConsole, wide_console
from services.reports.run_result import RunResult

PLAIN_SECONDS = 10.0
"""Between two lines where there is no terminal."""
FRAMES_PER_SECOND = 4
POSITIONS_SHOWN = 8
GAPS_SHOWN = 5


class LiveSummary:
    """A live picture on a terminal, a line now and then elsewhere; on stderr when quiet.

    Args:
        quiet: Keep stdout for the result.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = SafeConsole(stderr=quiet)
        self._live: Live | None = None
        self._phase = ""
        self._page_shown = False
        self._line_at = 0.0
        self._rate = _Rate()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=FRAMES_PER_SECOND)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Show the progress."""
        for line in progress.lines:
            self._console.print(line, style="yellow", highlight=False, soft_wrap=True)
        progress.lines.clear()
        rate = self._rate.of(progress.ticks)
        if self._live is not None:
            self._live.update(_picture(progress, rate))
        elif progress.phase != self._phase or time.monotonic() - self._line_at > PLAIN_SECONDS:
            self._phase, self._line_at = progress.phase, time.monotonic()
            if progress.page and not self._page_shown:
                self._page_shown = True
                where = f"page {progress.page}, logs {progress.logs}"
                self._console.print(where, highlight=False, soft_wrap=True)
            self._console.print(_line(progress, rate), highlight=False, soft_wrap=True)


class _Rate:
    """Ticks per second, over the last look or two."""

    def __init__(self) -> None:
        self._ticks = 0
        self._at = time.monotonic()
        self._rate = 0.0

    def of(self, ticks: int) -> float:
        passed = time.monotonic() - self._at
        if passed >= 1.0:
            self._rate = max(0, ticks - self._ticks) / passed
            self._ticks, self._at = ticks, time.monotonic()
        return self._rate


def _line(progress: Progress, rate: float) -> str:
    summary = progress.summary
    parts = [progress.phase]
    if summary:
        parts += [
            _event_time(summary),
            f"equity {_money(summary.get('equity'))}",
            _funnel(summary),
            f"{progress.ticks} ticks, {rate:.0f}/s",
        ]
    return " | ".join(part for part in parts if part)


def _picture(progress: Progress, rate: float) -> Group:
    summary = progress.summary
    head = Table.grid(padding=(0, 2))
    head.add_row("phase", Text(progress.phase, style="bold"))
    if summary:
        head.add_row("event time", _event_time(summary))
        equity = (_money(summary.get("equity")), "bold")
        head.add_row("equity", Text.assemble(equity, _drawdown(summary)))
        head.add_row("decisions", _funnel(summary))
        head.add_row("market", f"{progress.ticks} ticks, {rate:.0f}/s")
    if progress.page:
        head.add_row("where to look", f"{progress.page}  (logs: {progress.logs})")
    head.add_row("stop", "Ctrl-C")
    positions = list(summary.get("positions") or [])
    return Group(head, _positions(positions)) if positions else Group(head)


def _positions(positions: list[dict[str, Any]]) -> Table:
    table = Table(title="positions", title_justify="left")
    for heading in ("symbol", "quantity", "entry", "mark", "stop", "profit"):
        table.add_column(heading, justify="left" if heading == "symbol" else "right")
    for position in positions[:POSITIONS_SHOWN]:
        names = ("quantity", "entry_price", "mark_price", "stop_loss_price", "unrealised_profit")
        cells = [_number(position.get(name)) for name in names]
        table.add_row(str(position.get("symbol")), *cells)
    if len(positions) > POSITIONS_SHOWN:
        table.add_row(f"and {len(positions) - POSITIONS_SHOWN} more")
    return table


def _funnel(summary: dict[str, Any]) -> str:
    funnel = summary.get("funnel") or {}
    names = ("signals", "approved", "trimmed", "rejected", "exits", "fills", "trades")
    return ", ".join(f"{name} {funnel[name]}" for name in names if name in funnel)


def _drawdown(summary: dict[str, Any]) -> str:
    drawdown = summary.get("drawdown_pct")
    return f"  (drawdown {_percent(drawdown)})" if drawdown is not None else ""


def _event_time(summary: dict[str, Any]) -> str:
    clock = summary.get("clock_ms")
    if not isinstance(clock, int):
        return ""
    return datetime.fromtimestamp(clock / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def show_result(result: RunResult) -> None:
    """Print the final table."""
    decisions = result.decisions
    rejected = sum(decisions.rejected.values())
    reasons = ", ".join(f"{reason} {number}" for reason, number in decisions.rejected.items())
    rows = (
        ("run", result.run_id),
        ("ticks", f"{result.ticks} (lost {result.lost}, duplicates {result.duplicates})"),
        ("signals", str(result.signals)),
        ("approved", f"{decisions.approved}, trimmed {decisions.trimmed}"),
        ("rejected", f"{rejected}" + (f" ({reasons})" if reasons else "")),
        ("orders", f"{result.orders}, of which exits by risk {result.exits}"),
        ("fills", f"{result.fills}, refused orders {result.rejected_orders}"),
        ("trades closed", str(result.trades)),
        ("equity", f"{_money(result.equity_start)} -> {_money(result.equity_end)}"),
        ("fees", _money(result.fees)),
        ("largest drawdown", _percent(result.max_drawdown_pct)),
        ("worst day", _percent(result.worst_day_pct)),
        ("halts", f"{result.halts}, released {result.releases}"),
        ("last event", str(result.last_seq)),
        ("seconds", f"{result.seconds:.1f}"),
        ("decisions", result.decisions_hash),
    )
    table = Table(title="result", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    console = wide_console()
    console.print(table)
    for line in _remarks(result):
        console.print(line, highlight=False, soft_wrap=True)


def _remarks(result: RunResult) -> list[str]:
    lines = [
        f"{_utc(change.at)} {change.previous} -> {change.state}: {change.message}"
        + (f" (reset: {change.reset_reason})" if change.reset_reason else "")
        for change in result.state_changes
    ]
    widest = sorted(result.price_gaps, key=lambda gap: gap.loss, reverse=True)[:GAPS_SHOWN]
    lines += [
        f"{_utc(gap.at)} {gap.symbol}: price jumped over the stop {_number(gap.stop_loss_price)}"
        f" to {_number(gap.trigger_price)} ({_percent(gap.gap_pct)}, cost {_money(gap.loss)})"
        for gap in widest
    ]
    if len(result.price_gaps) > GAPS_SHOWN:
        lines.append(f"and {len(result.price_gaps) - GAPS_SHOWN} smaller jumps over stops")
    return lines + list(result.notes)


def _utc(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: object) -> str:
    if value is None:
        return "-"
    number = Decimal(str(value)).normalize()
    return f"{number:,f}" if abs(number) < 1 else f"{number:,.4f}".rstrip("0").rstrip(".")


def _money(value: object) -> str:
    return "-" if value is None else f"{Decimal(str(value)):,.2f}"


def _percent(value: object) -> str:
    return f"{Decimal(str(value)) * 100:.2f} %"
