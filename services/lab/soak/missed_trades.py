"""The part of the feed's promise about streams that miss trades while they run.

Missed trades can be found only by comparing the stream with REST. The limits here therefore follow
from the REST answers that the feed had, and from the exchange's own account of what it left out.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from services.lab.soak.feed_record import (
    Accounts,
    Findings,
    Gap,
    LostSpan,
    Record,
    RestAnswer,
    SymbolRecord,
    Trade,
)

MINUTE_MS: Final = 60_000
LATE: Final = "mexc:late"
ON_ITS_WAY_MS: Final = 3_000
"""The stream may still bring a younger trade: frames overtake one another and wait."""

OWED_MS: Final = 5_000
"""A stream that is further behind REST is taken to miss trades."""

PROOF_MS: Final = 10_000
"""After missed trades were found, a stream has to run this long without another finding."""

FRAMES_APART_MS: Final = 1_500
"""Maximum time between frames that overtake one another; older trades were missed."""


def check_missed_trades(symbol: SymbolRecord, record: Record, findings: Findings) -> None:
    """Check that lost spans are as tight, and gaps as long, as the REST answers allow."""
    accounts = Accounts(symbol)
    missed_trades = _MissedTrades(symbol, accounts, record.restarts)
    for span in symbol.spans:
        if span.loose and (why := missed_trades.too_wide(span)):
            text = f"lost span {span.lost_from} to {span.lost_to} is too wide"
            findings.fault(f"{symbol.symbol}: {text}: {why}")
    for trade in missed_trades.too_early():
        findings.fault(
            f"{symbol.symbol}: a live trade of {trade.tick.timestamp} at {trade.at_ms}, before what"
            " the open gap is about was published or named"
        )
    for gap in symbol.gaps:
        if gap.closed_ms is not None and (why := missed_trades.cleared_early(gap)):
            findings.fault(f"{symbol.symbol}: the gap cleared at {gap.closed_ms}: {why}")


class _MissedTrades:
    def __init__(self, symbol: SymbolRecord, accounts: Accounts, restarts: Sequence[int]) -> None:
        self._restarts = restarts
        self._symbol = symbol
        self._accounts = accounts
        self._answered_at = [answers.at_ms for answers in symbol.answers]
        self._trades_at = [trade.at_ms for trade in symbol.trades]
        times = (trade.tick.timestamp for trade in symbol.trades)
        self._newest = list(accumulate(times, max))
        """After each trade, the time of the newest that was published."""

    def too_wide(self, span: LostSpan) -> str | None:
        """Why a span with received trades inside could have been tighter."""
        accounts, times = self._accounts, self._accounts.times
        inside = accounts.between(span.lost_from, span.lost_to)
        if span.lost_from % MINUTE_MS == 0 and span.lost_to == span.lost_from + MINUTE_MS - 1:
            missing = any(accounts.published[number] is None for number in inside)
            return None if missing else "nothing of this minute was missing"
        first = next(
            (
                times[number]
                for number in accounts.between(span.lost_from, span.at_ms)
                if not accounts.was_published(number, span.at_ms - 1)
                and (number in self._symbol.left_out or times[number] < span.at_ms - OWED_MS)
            ),
            None,
        )
        if first is None:
            return "its stream owed nothing"
        # A new process does not know how far the one before had compared.
        started = max((at for at in self._restarts if at <= span.at_ms), default=-1)
        known_from = bisect_left(self._answered_at, started)
        before = self._symbol.answers[known_from : bisect_left(self._answered_at, span.at_ms)]
        begin = max(
            (whole for answers in before if (whole := self._whole(answers, span)) < first),
            default=-1,
        )
        if begin > span.lost_from:
            return f"until {begin} REST had shown that nothing was missing"
        for answers in self._symbol.answers[
            known_from : bisect_right(self._answered_at, span.at_ms)
        ]:
            if span.lost_from < answers.oldest_ms < span.lost_to <= answers.newest_ms:
                return f"from {answers.oldest_ms} on REST had everything"
        return None

    def _whole(self, answers: RestAnswer, span: LostSpan) -> int:
        """Time up to which everything in a REST answer had been published when it came.

        -1 if the answer proves nothing: it had no published trade, or it does not reach the start
        of the span and showed itself that the stream had missed trades.
        """
        accounts = self._accounts
        received = bisect_right(self._trades_at, answers.at_ms)
        whole = min(answers.newest_ms, self._newest[received - 1] if received else -1)
        for number in accounts.between(answers.oldest_ms, whole):
            if not accounts.was_published(number, answers.at_ms):
                whole = accounts.times[number] - 1
                if (
                    answers.oldest_ms > span.lost_from
                    and whole < answers.newest_ms - FRAMES_APART_MS
                ):
                    return -1
                break
        return whole if whole >= answers.oldest_ms else -1

    def too_early(self) -> list[Trade]:
        """Live trades published in an open gap before earlier trades were published or reported.

        Trades that the stream missed without a sign, or brings late, are not waited for.
        """
        times = [
            -1
            if number in self._symbol.left_out
            or self._comes_late(number)
            or at_ms <= self._accounts.times[number] + FRAMES_APART_MS  # overtaken, REST was first
            else at_ms
            for number, at_ms in enumerate(self._accounts.at_ms)
        ]
        first = next(iter(self._accounts.number_of.values()), 0)
        times[:first] = [-1] * first
        before = [-1, *accumulate(times, max)]
        return [
            trade
            for trade in self._symbol.trades
            if trade.in_gap is not None
            and not trade.tick.backfill
            and (number := self._accounts.number_of.get(trade.place)) is not None
            and before[number] > trade.at_ms
        ]

    def _comes_late(self, number: int) -> bool:
        trade = self._accounts.published[number]
        return trade is not None and trade.tick.source == LATE

    def cleared_early(self, gap: Gap) -> str | None:
        """Why a gap that cleared should have stayed open."""
        symbol, accounts = self._symbol, self._accounts
        assert gap.closed_ms is not None
        last = bisect_right(self._answered_at, gap.closed_ms)
        if last:
            answers = symbol.answers[last - 1]
            for number in accounts.between(
                answers.oldest_ms + 1, answers.newest_ms - ON_ITS_WAY_MS
            ):
                missed = number in symbol.left_out and accounts.places[number] > gap.closed_place
                if missed and not self._comes_late(number):
                    at = accounts.times[number]
                    return f"REST had a trade of {at} that its stream missed"
        found = self._found_ms(gap)
        if found is None or any(found <= at <= gap.closed_ms for at in self._restarts):
            return None
        asked = (answers.asked_ms for answers in symbol.answers[:last])
        if not any(at >= found + PROOF_MS for at in asked):
            return f"REST showed a missed trade at {found}; no request {PROOF_MS} ms later"
        return None

    def _found_ms(self, gap: Gap) -> int | None:
        """Time of the last REST answer in a gap with a trade that its stream had missed."""
        found: int | None = None
        newest = -1
        for trade in self._symbol.trades:
            if trade.place > gap.closed_place:
                break
            number = self._accounts.number_of.get(trade.place)
            if not trade.tick.backfill:
                newest = max(newest, trade.tick.timestamp)
            elif (
                trade.at_ms >= gap.opened_ms
                and number in self._symbol.left_out
                and self._accounts.places[number] == trade.place  # not named as lost before
                and trade.tick.source != LATE
                and trade.tick.timestamp < newest - FRAMES_APART_MS
            ):
                found = trade.at_ms
        return found
