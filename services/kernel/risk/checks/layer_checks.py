"""What each of the seven layers measures on the state after the trade, and its limit."""

from dataclasses import replace
from decimal import Decimal

from services.kernel.events import TradingState
from services.kernel.instruments.rounding import rounded
from services.kernel.reasons import Reason
from services.kernel.risk.checks.candidate import CheckResult, RiskCheckInput
from services.kernel.units import ZERO

STEP = Decimal("0.00000001")
MOST_AHEAD_SEC = Decimal(5)
"""As far as a tick may be ahead of the clock."""
LEAST_STOP_TICKS = 2
"""A nearer stop is within the noise of the tick size."""


def _short(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.0001")))


def drawdown(inputs: RiskCheckInput) -> CheckResult:
    """Layer 1: the nearer of the two losses to its limit; and what the account is allowed."""
    settings = inputs.settings
    daily, total = inputs.daily_drawdown_pct, inputs.drawdown_pct
    if daily is None or total is None:
        detail = f"no equity to lose; account {inputs.account_state}"
        return CheckResult(None, None, _forbidden(inputs) or Reason.NO_EQUITY, detail)
    daily_room = settings.max_daily_drawdown_pct - daily
    total_room = settings.circuit_breaker_threshold_pct - total
    if total_room < daily_room:
        value, limit, which = total, settings.circuit_breaker_threshold_pct, "from the peak"
    else:
        value, limit, which = daily, settings.max_daily_drawdown_pct, "of the day"
    reason = _forbidden(inputs)
    if reason is None and daily_room <= 0:
        reason = Reason.DAILY_DRAWDOWN
    elif reason is None and total_room <= 0:
        reason = Reason.EQUITY_DRAWDOWN
    return CheckResult(value, limit, reason, f"loss {which}; account {inputs.account_state}")


def _forbidden(inputs: RiskCheckInput) -> Reason | None:
    """Why the account allows no entry at all, whatever it has lost; None when it does."""
    if inputs.account_state is TradingState.HALTED:
        return Reason.HALTED
    if inputs.account_state is TradingState.PAUSED or inputs.health.operator_paused:
        return Reason.PAUSED
    return Reason.NO_EQUITY if inputs.equity <= 0 else None


def anomaly(inputs: RiskCheckInput) -> CheckResult:
    """Layer 2: what the symbol pauses for, else spread and expected slippage."""
    health, limit = inputs.health, inputs.settings.max_spread_multiplier
    multiple = health.spread_multiple
    if health.quarantined:
        return CheckResult(multiple, limit, Reason.QUARANTINED, "waits for a person to release it")
    if inputs.unconfirmed_jump is not None:
        reason, jump_limit = Reason.PRICE_UNCONFIRMED, inputs.settings.max_price_jump_pct
        detail = "jump from the last and the fair price; waits for the next trade"
        return CheckResult(inputs.unconfirmed_jump, jump_limit, reason, detail, unit="fraction")
    if health.anomaly is not None:
        return _pausing(inputs, health.anomaly)
    return _worst_cost(inputs, _present_market(inputs, multiple, limit))


def _pausing(inputs: RiskCheckInput, anomaly: Reason) -> CheckResult:
    """What the symbol pauses for, with the figure that was too high."""
    health, settings = inputs.health, inputs.settings
    detail = f"pauses for {anomaly}, {health.failed_retries} retries failed"
    if anomaly is Reason.PRICE_JUMP:
        return CheckResult(
            health.jump, settings.max_price_jump_pct, anomaly, detail, unit="fraction"
        )
    if anomaly is Reason.SLIPPAGE_SEEN:
        return CheckResult(
            health.slipped, settings.max_slippage_pct, anomaly, detail, unit="fraction"
        )
    return CheckResult(health.spread_multiple, settings.max_spread_multiplier, anomaly, detail)


def _worst_cost(inputs: RiskCheckInput, found: CheckResult) -> CheckResult:
    """What the present market shows; or that the entry costs too much of its stop's distance."""
    distance = inputs.stop_distance
    known = inputs.contract_known and inputs.health.seen_at is not None
    if found.reason is not None or not known or distance <= 0 or not inputs.opens:
        return found
    cost, limit = inputs.cost, inputs.settings.max_cost_share
    share = cost.total / distance
    detail = (
        f"fees {_short(cost.fees)}, spread {_short(cost.spread)} and impact"
        f" {_short(cost.impact)} of entry and exit over {_short(distance)} to the stop"
    )
    if share > limit:
        return CheckResult(share, limit, Reason.COST_TOO_HIGH, detail, unit="fraction")
    return replace(found, detail=f"{found.detail}; {detail}: {_short(share)}, at most {limit}")


def _present_market(
    inputs: RiskCheckInput, multiple: Decimal | None, limit: Decimal
) -> CheckResult:
    """Spread over its normal (``multiple``, at most ``limit``), and what the book would cost."""
    if multiple is not None and multiple > limit:
        return CheckResult(multiple, limit, Reason.SPREAD_ANOMALY, "spread over its normal")
    slippage, most = inputs.expected_slippage_pct, inputs.settings.max_slippage_pct
    if slippage is not None and slippage > most:
        detail = "slippage that the present book would cost"
        return CheckResult(slippage, most, Reason.SLIPPAGE_EXPECTED, detail, unit="fraction")
    if multiple is not None:
        detail = "spread over its normal"
        if slippage is not None:
            detail += f"; expected slippage {rounded(slippage, STEP):f}"
        return CheckResult(multiple, limit, None, detail)
    if slippage is not None:
        return CheckResult(slippage, most, None, "slippage that is expected", unit="fraction")
    return CheckResult(None, limit, None, "no quotes to compare", applicable=False)


def data_quality(inputs: RiskCheckInput) -> CheckResult:
    """Layer 3: universe, age of the data and of the signal, and open conditions."""
    health, settings = inputs.health, inputs.settings
    if not inputs.in_universe:
        detail = "the symbol is outside of the run's universe: exits only"
        return CheckResult(None, None, Reason.NOT_IN_UNIVERSE, detail)
    limit = Decimal(settings.data_stale_timeout_sec)
    if health.seen_at is None:
        return CheckResult(None, limit, Reason.NO_MARKET_DATA, "no live tick of this symbol yet")
    age = Decimal(max(inputs.now - health.seen_at, 0)) / 1000
    if not inputs.contract_known:
        return CheckResult(age, limit, Reason.NO_MARKET_DATA, "no contract details of this symbol")
    if inputs.open_conditions:
        return CheckResult(age, limit, Reason.CONDITION_OPEN, "; ".join(inputs.open_conditions))
    if health.stale or age > limit:
        return CheckResult(age, limit, Reason.DATA_STALE, "age of the last tick")
    return _wrong_time(inputs) or CheckResult(age, limit, None, "age of the last tick")


def _wrong_time(inputs: RiskCheckInput) -> CheckResult | None:
    """A signal whose time is too far from the clock."""
    age, oldest = Decimal(inputs.signal_age_ms) / 1000, inputs.settings.max_signal_age_sec
    if age < -MOST_AHEAD_SEC:
        detail = "the signal's time is ahead of the clock"
        return CheckResult(-age, MOST_AHEAD_SEC, Reason.SIGNAL_FROM_FUTURE, detail)
    if age > oldest:
        return CheckResult(age, oldest, Reason.SIGNAL_TOO_OLD, "age of the signal")
    return None


def exposure(inputs: RiskCheckInput) -> CheckResult:
    """Layer 4: everything after the trade, or what moves alike if that is nearer its limit."""
    settings, after = inputs.settings, inputs.exposure_pct_after
    limit = settings.max_total_exposure_pct
    if after is None:
        return CheckResult(None, limit, Reason.EXPOSURE_LIMIT, "no equity: nothing may be opened")
    together, alike_limit = inputs.correlated_pct_after, settings.max_correlated_exposure_pct
    if together and alike_limit - together < limit - after:
        names = ", ".join(f"{name} ({value})" for name, value in inputs.others.alike.items())
        reason = Reason.CORRELATED_EXPOSURE if together > alike_limit else None
        detail = f"notional after the trade over equity, of what moves alike: {names}"
        return CheckResult(together, alike_limit, reason, detail)
    reason = Reason.EXPOSURE_LIMIT if after > limit else None
    return CheckResult(after, limit, reason, "gross notional after the trade over equity")


def position(inputs: RiskCheckInput) -> CheckResult:
    """Layer 5: the position after the trade, and how far liquidation would be."""
    settings = inputs.settings
    distance = inputs.liquidation_distance
    if distance < settings.min_liquidation_distance:
        detail = f"distance to liquidation at {inputs.leverage}x; more is needed"
        limit = settings.min_liquidation_distance
        return CheckResult(distance, limit, Reason.LIQUIDATION_DISTANCE, detail, at_least=True)
    limit, after = settings.max_position_pct, inputs.position_pct_after
    if after is None:
        return CheckResult(None, limit, Reason.POSITION_LIMIT, "no equity: nothing may be opened")
    reason = Reason.POSITION_LIMIT if after > limit else None
    share, most = inputs.volume_share_after, settings.max_volume_share
    if reason is None and inputs.opens and (share is None or share > most):
        detail = f"position over what {settings.lookback_minutes} minutes traded"
        return CheckResult(share, most, Reason.VOLUME_LIMIT, detail)
    detail = (
        f"notional after the trade over equity; {inputs.leverage}x, "
        f"liquidation {_short(distance)} away"
    )
    if share is not None:
        detail += f"; {_short(share)} of the volume traded"
    return CheckResult(after, limit, reason, detail)


def stop_loss(inputs: RiskCheckInput) -> CheckResult:
    """Layer 6: where the stop would be."""
    stop, sign = inputs.stop_loss_price, inputs.side.sign
    distance = inputs.stop_distance
    limit = inputs.settings.stop_loss_pct
    mark = inputs.mark_price
    detail = f"stop at {stop}, works on the {inputs.price_source} price {mark or 'to come'}"
    valid = stop > 0 and ZERO < distance <= limit
    ticks = (inputs.order_price - stop) * sign / inputs.instrument.tick_size
    if ticks < LEAST_STOP_TICKS:
        short = _short(max(ticks, ZERO))
        valid, detail = False, f"{detail}: {short} ticks away, at least {LEAST_STOP_TICKS} needed"
    reach = inputs.liquidation_distance
    if valid and distance >= reach:
        valid, detail = False, f"{detail}: liquidation, {_short(reach)} away, would come before it"
    if valid and mark is not None and (mark - stop) * sign <= 0:
        valid, detail = False, f"{detail}: the mark price {mark} is beyond it already"
    return CheckResult(distance, limit, None if valid else Reason.STOP_LOSS_INVALID, detail)


def frequency(inputs: RiskCheckInput) -> CheckResult:
    """Layer 7: entries within the hour, and losses in a row."""
    limit = Decimal(inputs.settings.max_trades_per_hour)
    value = Decimal(inputs.entries_last_hour + 1)
    reason = Reason.TRADE_FREQUENCY if value > limit else None
    detail = "entries within 60 minutes, this one included"
    streak = inputs.streak
    if reason is None and streak.in_cooldown(inputs.now):
        rest = Decimal(streak.until - inputs.now) / 1000
        value, limit = Decimal(streak.losses), Decimal(inputs.settings.max_consecutive_losses)
        detail = f"losses in a row: rests for {rest} s"
        return CheckResult(value, limit, Reason.LOSS_COOLDOWN, detail, unit="losses")
    return CheckResult(value, limit, reason, detail)
