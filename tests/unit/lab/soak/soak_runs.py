"""Made-up runs of the feed, for the tests of its checker."""

from decimal import Decimal

from services.kernel.events import ConditionName, ConditionPhase, Event, Side
from services.lab.soak.feed_promise import check
from services.lab.soak.feed_record import Findings, Loss, Made, Published, Record, RestAnswer
from tests.builders import BTC, NOON, condition, trade

BEGAN, CLEARED = ConditionPhase.BEGAN, ConditionPhase.CLEARED


class Run:
    """A run as it goes: trades are made at seconds after noon, events published after them."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.published: list[Published] = []
        self.losses: list[Loss] = []
        self.dead: list[tuple[int, int]] = []
        self.rest_away: list[tuple[int, int]] = []
        self.left_out: list[Made] = []
        self.answers: list[RestAnswer] = []

    def make(self, *seconds: float, symbol: str = BTC, price: int = 100) -> None:
        for second in seconds:
            at = NOON + int(second * 1000)
            self.made.append(Made(symbol, at, Decimal(price), Decimal(2), Side.BUY))

    def leave_out(self, *seconds: float) -> None:
        times = {ms(second) for second in seconds}
        self.left_out += [made for made in self.made if made.timestamp in times]

    def rest_reports(self, oldest: float, newest: float, at: float) -> None:
        self.answers.append(RestAnswer(BTC, ms(at), ms(at), ms(oldest), ms(newest)))

    def live(self, *seconds: float, late: float = 0.1, **fields: object) -> None:
        self.publish(*(trade_event(second, **fields) for second in seconds), at=seconds[-1] + late)

    def backfill(self, *seconds: float, at: float, source: str = "mexc:rest") -> None:
        self.publish(
            *(trade_event(second, source=source, backfill=True) for second in seconds), at=at
        )

    def publish(self, *events: Event, at: float) -> None:
        now = NOON + int(at * 1000)
        self.published += [Published(now, event) for event in events]

    def begin_gap(self, at: float, symbol: str | None = BTC) -> None:
        self.publish(gap(BEGAN, symbol=symbol), at=at)

    def clear_gap(self, at: float, *held: float, lost: tuple[float, float] | None = None) -> None:
        self.publish(*(trade_event(second) for second in held), gap(CLEARED, lost), at=at)

    def kill(self, at: float, again: float) -> None:
        self.dead.append((ms(at), ms(again)))

    def lose(self, at: float, symbol: str = BTC) -> None:
        self.losses.append(Loss(NOON + int(at * 1000), symbol))

    def findings(self) -> Findings:
        return check(
            Record(
                made=self.made,
                published=self.published,
                losses=self.losses,
                dead=self.dead,
                rest_away=self.rest_away,
                left_out=self.left_out,
                answers=self.answers,
            )
        )

    def faults(self) -> str:
        return "\n".join(self.findings().faults)


def trade_event(second: float, **fields: object) -> Event:
    fields = {"source": "mexc", "price": 100, "volume": 2, "side": Side.BUY} | fields
    return trade(at=NOON + int(second * 1000), **fields)  # type: ignore[arg-type]


def gap(
    phase: ConditionPhase, lost: tuple[float, float] | None = None, symbol: str | None = BTC
) -> Event:
    name = ConditionName.DATA_GAP
    bounds = {} if lost is None else dict(zip(("lost_from", "lost_to"), map(ms, lost), strict=True))
    return condition(name, phase, symbol=symbol, at=NOON, producer="cdb_ws", **bounds)


def offset(phase: ConditionPhase) -> Event:
    name = ConditionName.CLOCK_OFFSET
    return condition(name, phase, symbol=BTC, at=NOON, producer="cdb_ws")


def ms(second: float) -> int:
    return NOON + int(second * 1000)


def a_run_with_a_hole() -> Run:
    """Trades 1 to 6; connection lost after 2, 3 and 4 are lost, 5 came by REST, 6 was held."""
    run = Run()
    run.make(1, 2, 3, 4, 5, 6)
    run.live(1)
    run.live(2)
    run.lose(2.5)
    run.begin_gap(2.5)
    run.backfill(5, at=6.5)
    run.clear_gap(6.5, 6, lost=(2, 5))
    return run


def missed_span() -> Run:
    """Trades 1 to 7; 3 and 5 are left out, REST agreed until 2, and reported 7 on."""
    run = Run()
    run.make(1, 2, 3, 4, 5, 6, 7)
    run.leave_out(3, 5)
    run.live(1, 2)
    run.rest_reports(1, 2, at=2.2)
    for second in (4, 6, 7):
        run.live(second)
    run.rest_reports(7, 7, at=8)
    run.begin_gap(8)
    run.clear_gap(8, lost=(2, 7))
    return run


def replaced(item: Published, event: Event) -> Published:
    return Published(item.at_ms, event)
