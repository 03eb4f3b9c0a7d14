"""The console is started again when it ends, and an alert says that it is down."""

import pytest

from services.cdb_paper_runner import console_keeper
from services.cdb_paper_runner.console_keeper import SETTLED_S, ConsoleKeeper
from services.kernel.events import AlertPhase

pytestmark = pytest.mark.unit


class Process:
    """A console that a test ends."""

    def __init__(self) -> None:
        self.starts = 0
        self.is_running = False
        self.exit_code: int | None = None

    def start(self) -> None:
        self.starts += 1
        self.is_running = True

    def stop(self) -> int | None:
        self.ends(0)
        return 0

    def ends(self, code: int) -> None:
        self.is_running = False
        self.exit_code = code


class Desk:
    """A keeper, its process, the time, and what was published."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.has_run = True
        self.alerts: list[tuple[str, str]] = []
        self.process = Process()
        self.keeper = ConsoleKeeper(self.process, loop=None)  # type: ignore[arg-type]
        monkeypatch.setattr(console_keeper.host, "monotonic", lambda: self.now)
        monkeypatch.setattr(console_keeper, "publish_alert", self._publish)

    def _publish(self, _loop: object, _code: str, _level: str, phase: str, message: str) -> bool:
        if self.has_run:
            self.alerts.append((phase, message))
        return self.has_run

    def second(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.keeper.look()
        self.keeper.alert()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(monkeypatch)
    desk.second()
    return desk


def test_it_starts_the_console_once(desk: Desk) -> None:
    desk.second()

    assert (desk.process.starts, desk.alerts) == (1, [])


def test_its_end_is_alerted_and_it_is_started_again_until_it_works(desk: Desk) -> None:
    desk.process.ends(-9)
    desk.second()
    assert desk.process.starts == 1, "it waits a second first"
    (began,) = desk.alerts
    assert began[0] == AlertPhase.BEGAN
    assert "code -9" in began[1]

    desk.second()
    assert desk.process.starts == 2
    desk.second(SETTLED_S - 1)
    assert len(desk.alerts) == 1, "it has not lived long enough"
    desk.second()
    assert [phase for phase, _ in desk.alerts] == [AlertPhase.BEGAN, AlertPhase.CLEARED]


def test_it_waits_longer_each_time_and_at_most_a_minute(desk: Desk) -> None:
    waits = []
    for _ in range(8):
        desk.process.ends(1)
        desk.second(0)
        waited = 0
        while not desk.process.is_running:
            desk.second()
            waited += 1
        waits.append(waited)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(desk.alerts) == 1, "one alert for all of it"


def test_an_alert_waits_for_a_run(desk: Desk) -> None:
    desk.has_run = False
    desk.process.ends(1)
    desk.second()
    assert desk.alerts == []
    desk.has_run = True

    desk.second()

    assert len(desk.alerts) == 1
