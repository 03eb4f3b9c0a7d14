"""Makes a scenario's events: the market's, the strategy's, the operator's, one after the other."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from services.cdb_ws.publishing import ticks
from services.cdb_ws.sources.replay import Replay
from services.kernel.events import (
    SCHEMA_VERSION,
    Condition,
    ConditionPhase,
    Event,
    Halt,
    MarketData,
    MarketDataKind,
    OpeningAccount,
    Order,
    OrderType,
    Origin,
    Pause,
    Reset,
    Resume,
    RunEnded,
    RunStarted,
    Side,
    Signal,
    topics,
)
from services.kernel.events.ids import make_id
from services.kernel.instruments.contracts import Instrument, generic_instrument
from services.scenarios.scenario import (
    Command,
    ConditionStep,
    Contract,
    MarketStep,
    PostedOrder,
    Prices,
    Scenario,
    Step,
    Wish,
    data_paths,
    milliseconds,
)

SECOND_MS: Final = 1_000
LONGEST_CLOCK_STEP_MS: Final = 15_000
HALF: Final = Decimal("0.5")
COMMANDS: Final = {"halt": Halt, "reset": Reset, "pause": Pause, "resume": Resume}


def moment(text: str) -> int:
    """ISO 8601 (UTC where it names no zone) as Unix milliseconds.

    Raises:
        ValueError: It is none.
    """
    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class Situation:
    """The events of one scenario, in order; what they lead to is not known here.

    Args:
        scenario: What to play.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._run_id = f"scenario {scenario.name}"
        self._now = moment(scenario.start)
        self._made = 0
        self._last: dict[str, Decimal] = {}
        self._contracts = {
            symbol: _instrument(symbol, contract) for symbol, contract in scenario.symbols.items()
        }

    def events(self) -> Iterator[Event]:
        """From ``run_started`` to ``run_ended``."""
        if self._scenario.recording is not None:
            yield from self._recorded()
        else:
            yield self._run_started()
            contracts = tuple(self._contracts.values())
            yield ticks.instruments(self._run_id, self._now, contracts)
            yield ticks.clock(self._run_id, self._now)
            for step in self._scenario.steps:
                yield from self._step(step)
        yield RunEnded(**self._envelope(topics.PAPER_RUNNER), reason="the scenario is over")

    def command(self, kind: str, command: Command) -> Event:
        """What the operator says now, as risk publishes it."""
        fields: dict[str, Any] = {"reason": command.reason}
        if kind in ("pause", "resume"):
            fields["symbol"] = command.symbol
        return COMMANDS[kind](**self._envelope(topics.RISK, external=True), **fields)

    def _recorded(self) -> Iterator[Event]:
        recording = self._scenario.recording
        assert recording is not None
        begin = moment(recording.begin) if recording.begin else 0
        end = moment(recording.end) if recording.end else None
        replay = Replay(data_paths(self._scenario), self._run_id)
        self._now = max(replay.first_timestamp, begin)
        yield self._run_started()
        for _, event in replay.steps():
            is_data = event.TOPIC != topics.CONTROL
            if is_data and event.timestamp < begin:
                continue
            if is_data and end is not None and event.timestamp > end:
                return
            self._now = max(self._now, event.timestamp)
            yield event

    def _step(self, step: Step) -> Iterator[Event]:
        for name in COMMANDS:
            command = getattr(step, name)
            if command is not None:
                yield self.command(name, command)
        if step.repeat is not None:
            for _ in range(step.repeat.times):
                for inner in step.repeat.steps:
                    yield from self._step(inner)
        if step.wait is not None:
            yield from self._pass(milliseconds(step.wait))
        if step.market is not None:
            yield from self._market(step.market)
        if step.enter is not None:
            yield from self._wishes(step.enter, reduce_only=False)
        if step.leave is not None:
            yield from self._wishes(step.leave, reduce_only=True)
        yield from self._events(step)

    def _events(self, step: Step) -> Iterator[Event]:
        """What is a single event."""
        if step.order is not None:
            yield self._posted(step.order)
        if step.condition is not None:
            yield self._condition(step.condition)
        if step.universe is not None:
            chosen = tuple(step.universe)
            self._made += 1
            yield ticks.instruments(self._run_id, self._now, (), self._made, chosen)
        if step.funding is not None:
            yield self._tick(
                step.funding.symbol,
                MarketDataKind.FUNDING,
                funding_rate=step.funding.rate,
                next_funding_time=self._now + milliseconds(step.funding.due),
            )

    def _market(self, market: MarketStep) -> Iterator[Event]:
        lasts, every = milliseconds(market.lasts), milliseconds(market.every)
        number = max(lasts // every, 1)
        for index in range(number):
            yield from self._pass(every)
            part = Decimal(index + 1) / number
            for symbol, price in self._prices(market.marks, part):
                yield self._tick(symbol, MarketDataKind.MARK, mark_price=price)
            for symbol, price in self._prices(market.prices, part):
                if market.spread is not None:
                    half = self._on_tick_size(symbol, price * market.spread * HALF)
                    yield self._tick(
                        symbol, MarketDataKind.QUOTE, bid=price - half, ask=price + half
                    )
                self._last[symbol] = price
                yield self._tick(symbol, MarketDataKind.TRADE, price=price, volume=market.volume)

    def _prices(self, paths: Prices, part: Decimal) -> Iterator[tuple[str, Decimal]]:
        """Each symbol's price after this part (0 to 1) of the step."""
        for symbol, path in paths.items():
            corners = path if isinstance(path, list) else [path]
            place = part * (len(corners) - 1)
            before = min(int(place), len(corners) - 1)
            after = min(before + 1, len(corners) - 1)
            price = corners[before] + (corners[after] - corners[before]) * (place - before)
            yield symbol, self._on_tick_size(symbol, price)

    def _on_tick_size(self, symbol: str, price: Decimal) -> Decimal:
        size = self._contracts[symbol].tick_size
        return max((price / size).to_integral_value(ROUND_HALF_EVEN), Decimal(1)) * size

    def _pass(self, span: int) -> Iterator[Event]:
        """Time goes by, with a clock at least every fifteen seconds."""
        end = self._now + span
        while self._now < end:
            self._now = min(self._now + min(LONGEST_CLOCK_STEP_MS, max(span, SECOND_MS)), end)
            yield ticks.clock(self._run_id, self._now)

    def _wishes(self, wish: Wish, *, reduce_only: bool) -> Iterator[Event]:
        side = wish.side or (Side.SELL if reduce_only else Side.BUY)
        for number in range(wish.times):
            if number:
                yield from self._pass(SECOND_MS)
            envelope = self._envelope(topics.CORE)
            envelope["timestamp"] -= milliseconds(wish.age)
            price = wish.price if wish.price is not None else self._last.get(wish.symbol)
            yield Signal(
                **envelope | {"correlation_id": envelope["event_id"]},
                signal_id=envelope["event_id"],
                symbol=wish.symbol,
                direction=side,
                strength=Decimal(1),
                price=price if price is not None else Decimal(0),
                reason="written in the scenario",
                indicators={},
                reduce_only=reduce_only,
                strategy_id="scenario",
                quantity=wish.quantity,
            )

    def _posted(self, order: PostedOrder) -> Event:
        envelope = self._envelope(topics.RISK, external=True)
        return Order(
            **envelope,
            order_id=envelope["event_id"],
            signal_id=None,
            origin=Origin.EXTERNAL,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=self._last.get(order.symbol, Decimal(1)),
            order_type=OrderType.MARKET,
            reduce_only=False,
            stop_loss_price=None,
            leverage=Decimal(1),
            approved_by=None,
            risk_checks={},
        )

    def _condition(self, step: ConditionStep) -> Event:
        return Condition(
            **self._envelope(topics.DB_WRITER),
            name=step.name,
            phase=ConditionPhase.CLEARED if step.cleared else ConditionPhase.BEGAN,
            symbol=step.symbol,
            detail="written in the scenario",
        )

    def _tick(self, symbol: str, kind: MarketDataKind, **fields: Any) -> MarketData:
        return MarketData(
            **self._envelope(topics.WS), symbol=symbol, kind=kind, source="scenario", **fields
        )

    def _run_started(self) -> Event:
        settings = self._scenario.trading_settings()
        equity = settings.account_equity
        return RunStarted(
            **self._envelope(topics.PAPER_RUNNER),
            settings=settings.to_mapping(),
            seed=1,
            code_version="scenario",
            source="replay",
            account=OpeningAccount(
                cash=equity, peak_equity=equity, day_start_equity=equity, day=-1
            ),
        )

    def _envelope(self, producer: str, **fields: Any) -> dict[str, Any]:
        self._made += 1
        return {
            "event_id": make_id(self._run_id, producer, self._made),
            "run_id": self._run_id,
            "producer": producer,
            "schema_version": SCHEMA_VERSION,
            "timestamp": self._now,
            "causation_id": None,
            "correlation_id": None,
            **fields,
        }


def _instrument(symbol: str, contract: Contract) -> Instrument:
    plain = generic_instrument(symbol, contract.tick, inverse=contract.inverse)
    given = {
        "lot_size": contract.lot,
        "max_leverage": contract.max_leverage,
        "maintenance_margin_rate": contract.maintenance_margin_rate,
        "funding_interval_hours": contract.funding_interval_hours,
    }
    return Instrument(**{name: getattr(plain, name) for name in plain.__struct_fields__} | given)
