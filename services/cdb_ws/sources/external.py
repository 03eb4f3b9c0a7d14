"""The source ``external``: market data that people or tests publish by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from prometheus_client.core import Metric

from services.cdb_ws.publishing import ticks
from services.kernel.events import Event, MarketData
from services.kernel.events.topics import MARKET_DATA, WS
from services.kernel.instruments.contracts import Instrument, generic_instrument
from services.runtime import host
from services.runtime.bus.encoded import Outgoing
from services.runtime.bus.subscription import ExternalMessage
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.intake.external import Intake, InvalidMessageError

MOST_TRADES: Final = 100_000
"""Trade ids that are kept to recognise a repeated message."""


def fine_tick(price: Decimal) -> Decimal:
    """A price step for a symbol of which only one price is known.

    As fine as the price's own decimals, and at least five digits below its first: a first price of
    ``100`` does not mean that the market moves in whole units.
    """
    exponent = price.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    return Decimal(1).scaleb(-max(places, 4 - price.adjusted(), 0))


class ExternalMarket:
    """Takes external messages, and announces the contract of each symbol before its first tick.

    It always exists, to refuse messages while another source is active. As the source of a run it
    returns the messages that it took.

    Args:
        unique: Makes event ids different from those of other processes of this service.
        known: Contract details by symbol; other symbols get a generic contract.
        now_ms: Wall time.

    Attributes:
        taken: Messages that became events.
    """

    def __init__(
        self,
        unique: str,
        known: Mapping[str, Instrument],
        now_ms: Callable[[], int] = host.wall_ms,
    ) -> None:
        self.taken = 0
        self._open = False
        self._unique = unique
        self._known = known
        self._now_ms = now_ms
        self._intake = Intake(WS, unique)
        self._announced: set[tuple[str, str]] = set()
        self._waiting: list[Outgoing] = []
        self._trades: dict[tuple[str, str, str, str], None] = {}

    def put(self, message: ExternalMessage, context: LoopContext) -> None:
        """Take one message.

        Raises:
            InvalidMessageError: It belongs into a dead letter.
        """
        if context.run_ended:
            raise InvalidMessageError("NO_RUN", "the run has ended")
        if message.topic == MARKET_DATA and context.run_id is not None and not self._open:
            raise InvalidMessageError("NOT_TAKEN", "this run's market is not external")
        event = self._intake.take(
            message.topic,
            message.body,
            run_id=context.run_id,
            now_ms=self._now_ms(),
            behind_ms=context.behind_ms,
        )
        self._refuse_repeated(event)
        self.taken += 1
        self._waiting += [*self._announce(event), event]

    def begin(
        self,
        past: Sequence[MarketData],  # noqa: ARG002 - what was not published is lost, as messages are
        clock_ms: int,  # noqa: ARG002
    ) -> None:
        """Become the source of a run; nothing comes before the first message."""
        self._open = True

    def take(self) -> list[Outgoing]:
        """The messages taken since the last call."""
        taken, self._waiting = self._waiting, []
        return taken

    def troubles(self) -> list[str]:
        """Always empty: an idle market is healthy."""
        return []

    def counts(self) -> dict[str, object]:
        """How many messages were taken."""
        return {"taken": self.taken}

    def figures(self) -> Iterable[Metric]:
        """None of its own."""
        return ()

    def close(self) -> None:
        """Stop being the source of a run."""
        self._open = False

    def _refuse_repeated(self, event: Event) -> None:
        if not isinstance(event, MarketData) or event.trade_id is None:
            return
        trade = (event.run_id, event.source, event.symbol, event.trade_id)
        if trade in self._trades:
            raise InvalidMessageError(
                "DUPLICATE_TRADE", f"trade {event.trade_id} was accepted before"
            )
        self._trades[trade] = None
        if len(self._trades) > MOST_TRADES:
            del self._trades[next(iter(self._trades))]

    def _announce(self, event: Event) -> list[Event]:
        if not isinstance(event, MarketData):
            return []
        key = (event.run_id, event.symbol)
        price = event.price or event.mark_price or event.bid or event.ask or event.index_price
        if key in self._announced or price is None:
            return []
        self._announced.add(key)
        contract = self._known.get(event.symbol) or generic_instrument(
            event.symbol, fine_tick(price)
        )
        index = f"{self._unique}:{event.symbol}"
        return [ticks.instruments(event.run_id, event.timestamp, (contract,), index)]
