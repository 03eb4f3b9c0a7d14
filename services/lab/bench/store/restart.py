"""From a kill to trading, with a long record behind: one stage, all services, the whole machine.

Prices come by hand all the time, as from a live market. After each kill one symbol's price is
higher than before, and the system trades again when it has filled an order for that symbol: then
source, signals, risk, execution and bus have all done their work since.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final

from services.kernel.events import OrderResult, codec, topics
from services.lab.bench import bench_market
from services.runtime.bus.redis.connection import pack
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession, SessionError
from services.runtime.service.http_query import get_json

SETTINGS: Final = bench_market.SETTINGS | {"CDB_SOURCE": "external"}
ROUND_SECONDS: Final = 0.02
"""Between two prices of a symbol while kills are measured: 1,000 ticks a second together."""
AT_ONCE: Final = 1_000
AHEAD: Final = 20_000
"""Prices that may be sent and not yet written down while the record is made."""
WINDOW_SECONDS: Final = 65.0
"""From the first prices until the look-back is full."""
WITHIN_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 2.0
"""Between two kills."""
TRADES: Final = (topics.WS, topics.CORE, topics.RISK, topics.EXECUTION)


def measure(home: Home, events: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Make a record, then kill and take the time.

    Args:
        home: Taken and empty; its data is removed afterwards.
        events: So many are on the record when the first service is killed.
        say: Called with what goes on.

    Returns:
        Seconds from each kill to the first order that is filled behind it: of each service that
        trades alone (``one_s``), of all six (``services_s``), and after a power cut of everything,
        PostgreSQL's and Redis's own recovery included (``machine_s``, ``servers_s`` of it); and
        how fast a stage reads what it missed.

    Raises:
        SessionError: Something did not start, broke or did not trade again.
    """
    try:
        with EmbeddedSession(home, SETTINGS) as session:
            session.start_servers()
            session.start_services()
            with closing(_Hand(session)) as hand:
                hand.begin()
                known_at = time.monotonic() + WINDOW_SECONDS
                hand.fill(events)
                hand.keep_on(known_at - time.monotonic())
                say(f"  {session.head():,} events behind: kill")
                figures: dict[str, Any] = {
                    "behind_events": session.head(),
                    "one_s": {name: _killed(session, hand, name) for name in TRADES},
                    "services_s": _killed(session, hand, *topics.SERVICES),
                    "missed": _missed(session, hand, max(1, events // 10)),
                }
                bought = hand.bought
                run_id = _run_id(session)
            session.kill()
        return figures | _power_is_back(home, bought, run_id)
    finally:
        home.clear()


def _killed(session: EmbeddedSession, hand: "_Hand", *names: str) -> float:
    hand.keep_on(SETTLE_SECONDS)
    began = time.monotonic()
    session.kill_services(*names)
    return hand.seconds_to_trading(began)


def _missed(session: EmbeddedSession, hand: "_Hand", events: int) -> dict[str, float | int]:
    """How long risk takes to read what was published while it did nothing."""
    with session.frozen(topics.RISK):
        hand.fill(session.head() + events)
        head = session.head()
    began, behind = time.monotonic(), head - session.cursor(topics.RISK)
    session.wait_until(lambda: session.cursor(topics.RISK) >= head, "risk's end", WITHIN_SECONDS)
    took = time.monotonic() - began
    return {"events": behind, "seconds": round(took, 2), "events_per_s": round(behind / took)}


def _power_is_back(home: Home, bought: int, run_id: str) -> dict[str, float]:
    began = time.monotonic()
    with EmbeddedSession(home, SETTINGS) as session:
        session.start_servers()
        servers = time.monotonic() - began
        session.start_services()
        with closing(_Hand(session, bought)) as hand:
            took = hand.seconds_to_trading(began)
        if _run_id(session) != run_id:
            raise SessionError(
                "the run was not gone on with: the kernel's source was changed during the"
                " benchmark; leave it alone and measure again"
            )
    return {"machine_s": took, "servers_s": round(servers, 2)}


def _run_id(session: EmbeddedSession) -> str:
    status = get_json(f"{session.services[topics.PAPER_RUNNER]}/status", WITHIN_SECONDS).body
    return str(status["run_id"])


class _Hand:
    """Sends prices from outside, and sees which orders are filled.

    The symbols that were bought have the higher price from then on.

    Args:
        session: Its services are started.
        bought: How many symbols were bought already.
    """

    def __init__(self, session: EmbeddedSession, bought: int = 0) -> None:
        self.bought = bought
        self._session = session
        self._sender = session.operator.connect("claire-bench")
        self._control = session.operator.connect("claire-bench")
        self._control.send(pack("SUBSCRIBE", topics.ORDER_RESULTS))

    def close(self) -> None:
        """Disconnect."""
        self._sender.close()
        self._control.close()

    def begin(self) -> None:
        """Wait until prices are taken."""
        self._wait_for("no run was started", self._healthy)

    def fill(self, events: int) -> None:
        """Send prices until there are so many events, as fast as they are written down."""
        first, sent = self._session.head(), 0
        while (head := self._session.head()) < events:
            self._session.watch()
            written = self._session.cursor(topics.DB_WRITER)
            if sent - (head - first) > AHEAD or head - written > AHEAD:
                time.sleep(ROUND_SECONDS)
                continue
            self._send(AT_ONCE)
            sent += AT_ONCE

    def keep_on(self, seconds: float) -> None:
        """Send prices at their usual pace."""
        until = time.monotonic() + seconds
        self._wait_for("time stands still", lambda: time.monotonic() > until)

    def seconds_to_trading(self, since: float) -> float:
        """Raise the next symbol's price, and wait until an order for it is filled.

        Args:
            since: Monotonic seconds; when something was killed.
        """
        symbol = _symbol(self.bought)
        self.bought += 1
        self._wait_for(f"{symbol} was not bought", lambda: self._filled(symbol))
        took = time.monotonic() - since
        self._wait_for("a service is not healthy", self._healthy)
        return round(took, 2)

    def _wait_for(self, what: str, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise SessionError(f"{what} within {WITHIN_SECONDS:g} s")
            self._session.watch()
            self._send(bench_market.SYMBOLS)
            time.sleep(ROUND_SECONDS)

    def _send(self, prices: int) -> None:
        now = int(time.time() * 1000)
        bodies = (self._price(number % bench_market.SYMBOLS, now) for number in range(prices))
        self._sender.pipeline([pack("PUBLISH", topics.MARKET_DATA, body) for body in bodies])

    def _price(self, number: int, now_ms: int) -> str:
        price = bench_market.HIGH if number < self.bought else bench_market.LOW
        tick = {"symbol": _symbol(number), "price": str(price), "volume": 1000, "timestamp": now_ms}
        return json.dumps(tick)

    def _filled(self, symbol: str) -> bool:
        for reply in self._control.receive(0.0):
            if reply[0] != b"message":
                continue
            event = codec.decode(reply[2])
            if isinstance(event, OrderResult) and event.symbol == symbol and event.filled_quantity:
                return True
        return False

    def _healthy(self) -> bool:
        services: Mapping[str, str] = self._session.services
        return all(get_json(f"{url}/health", 2.0).status == 200 for url in services.values())


def _symbol(number: int) -> str:
    return f"S{number:02d}_USDT"
