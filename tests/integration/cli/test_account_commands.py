"""Positions, trades, runs and the figures of a run, asked of one recorded run."""

from decimal import Decimal

import pytest

from tests.recorded_home import Recorded

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


# -- trades ---------------------------------------------------------------------------------------


def test_every_trade_is_listed_with_what_makes_its_net_profit(recorded: Recorded) -> None:
    reported = recorded.result("trades")

    assert reported["run_id"] == recorded.run["run_id"]
    assert len(reported["trades"]) == recorded.run["trades"] > 0
    for trade in reported["trades"]:
        net = Decimal(trade["gross_profit"]) - Decimal(trade["fees_open"])
        net += Decimal(trade["funding"]) - Decimal(trade["fees_close"])
        assert Decimal(trade["profit_loss"]) == net
        assert trade["exit_reason"] in ("signal", "stop_loss", "opposite_entry", "take_profit")
    times = [trade["closed_at"] for trade in reported["trades"]]
    assert times == sorted(times)


def test_the_id_of_a_trade_is_one_that_explain_takes(recorded: Recorded) -> None:
    trade = recorded.result("trades")["trades"][-1]
    shown = recorded.text("trades", "--count", 1)

    assert trade["trade_id"][:12] in shown
    assert "1 trade, net" in shown
    for identity in (trade["trade_id"][:12], trade["order_id"][:12]):
        assert "result: FILLED" in recorded.text("explain", identity)


def test_trades_are_chosen_by_symbol_and_number(recorded: Recorded) -> None:
    every = recorded.result("trades")["trades"]

    assert recorded.result("trades", "--count", 1)["trades"] == every[-1:]
    assert recorded.result("trades", "--symbol", "BTC_USDT")["trades"] == every
    assert recorded.result("trades", "--symbol", "ETH_USDT")["trades"] == []
    assert "no closed trade" in recorded.text("trades", "--symbol", "ETH_USDT")


# -- positions ------------------------------------------------------------------------------------


def test_a_position_is_listed_with_the_age_of_its_price(recorded: Recorded) -> None:
    assert recorded.result("positions")["positions"] == []
    assert "no open position" in recorded.text("positions")
    ((last,),) = recorded.query('SELECT max("timestamp") FROM portfolio_snapshots')
    (kept,) = recorded.query(
        "SELECT quantity, entry_price, opened_at, notional, priced_at FROM positions"
    )
    recorded.change(
        "UPDATE positions SET quantity = -2, entry_price = 100, opened_at = %s, notional = 198,"
        " priced_at = %s::timestamptz - interval '49 hours'",
        *(last, last),
    )
    try:
        (position,) = recorded.result("positions")["positions"]
        shown = recorded.text("positions")
        figures = recorded.result("stats")
        statistics = recorded.text("stats")
    finally:
        recorded.change(
            "UPDATE positions SET quantity = %s, entry_price = %s, opened_at = %s, notional = %s,"
            " priced_at = %s",
            *kept,
        )

    assert (position["symbol"], position["side"], position["quantity"]) == ("BTC_USDT", "SELL", "2")
    assert position["price_age_s"] == "176400"
    assert position["as_of"] - position["priced_at"] == 176_400_000
    assert figures["open_positions"] == [position]
    for text in (shown, statistics):
        assert "2 d 1 h" in text
        assert "short" in text


# -- runs -----------------------------------------------------------------------------------------


def test_the_runs_are_listed_with_begin_end_and_result(recorded: Recorded) -> None:
    (run,) = recorded.result("runs")["runs"]
    trades = recorded.result("trades")["trades"]

    assert run["run_id"] == recorded.run["run_id"]
    assert (run["source"], run["halts"], run["open_positions"]) == ("replay", 0, 0)
    assert (run["signals"], run["trades"]) == (recorded.run["signals"], recorded.run["trades"])
    assert run["ended_at"] is not None
    assert Decimal(run["net_profit"]) == sum(Decimal(trade["profit_loss"]) for trade in trades)
    assert Decimal(run["equity"]) == Decimal(recorded.run["equity_end"])
    shown = recorded.text("runs")
    assert run["run_id"][:12] in shown
    assert "replay" in shown


# -- stats ----------------------------------------------------------------------------------------


def test_the_drift_of_fills_is_what_their_slippage_leaves(recorded: Recorded) -> None:
    reported = recorded.result("stats")
    fills = recorded.query(
        "SELECT (r.body->>'filled_quantity')::numeric, (r.body->>'filled_price')::numeric,"
        " o.price, o.side FROM events AS r JOIN orders AS o ON o.order_id = r.body->>'order_id'"
        " WHERE r.type = 'order_result' AND (r.body->>'filled_quantity')::numeric > 0"
        " AND o.origin = 'signal'"
    )
    missed = sum(
        quantity * (price - decided) * (1 if side == "BUY" else -1)
        for quantity, price, decided, side in fills
    )

    assert set(reported["fill_drift_bp"]) == {"entries", "exits", "stops"}
    assert sum(reported["fill_drift_fills"].values()) == recorded.run["fills"]
    if reported["fill_drift_fills"]["stops"] == 0:  # whose drift has another reference
        drift = sum(Decimal(money) for money in reported["fill_drift_money"].values())
        parts = drift + Decimal(reported["spread"]) + Decimal(reported["impact"])
        assert abs(parts - missed) < Decimal("0.0001")
    assert "drift of fills, positive is against us" in recorded.text("stats")


def test_every_exit_has_its_price_gap(recorded: Recorded) -> None:
    reported = recorded.result("stats")

    exits = reported["exits"]
    assert (
        len(exits)
        == reported["fill_drift_fills"]["exits"] + reported["fill_drift_fills"]["stops"]
        > 0
    )
    for gap in exits:
        against = Decimal(gap["market_price"]) - Decimal(gap["reference_price"])
        against *= 1 if gap["side"] == "BUY" else -1
        assert Decimal(gap["drift"]) * against >= 0
        bp = against / Decimal(gap["reference_price"]) * 10_000
        assert abs(Decimal(gap["drift_bp"]) - bp) <= Decimal("0.00005")


def test_statistics_say_when_and_why_trading_halted(recorded: Recorded) -> None:
    assert recorded.result("stats")["halts"] == []
    assert "halts: none" in recorded.text("stats")
    recorded.change(
        "INSERT INTO trading_state_changes (event_id, seq, run_id, timestamp, previous, state,"
        " reason, message, values) VALUES ('halt', 1, %s, now(), 'ACTIVE', 'HALTED',"
        " 'DAILY_DRAWDOWN', 'lost 5.1 %%', '{}')",
        recorded.run["run_id"],
    )
    try:
        (halt,) = recorded.result("stats")["halts"]
        shown = recorded.text("stats")
    finally:
        recorded.change("DELETE FROM trading_state_changes WHERE event_id = 'halt'")

    assert (halt["state"], halt["reason"], halt["message"]) == (
        "HALTED", "DAILY_DRAWDOWN", "lost 5.1 %",
    )  # fmt: skip
    assert "DAILY_DRAWDOWN: lost 5.1 %" in shown
