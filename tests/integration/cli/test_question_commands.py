"""Questions on the command line: what a thief left, what would have been, why, and the tables."""

import json
from decimal import Decimal

import pytest

from tests.recorded_home import Recorded

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


# -- validate, and what a thief leaves ------------------------------------------------------------


def test_an_honest_record_breaks_no_rule_and_contains_every_head_it_ever_had(
    recorded: Recorded,
) -> None:
    found = recorded.result("validate")
    assert found["findings"] == 0
    assert found["upto_seq"] == recorded.run["last_seq"]
    assert found["signals"] == recorded.run["signals"]
    assert found["orders"] == recorded.run["orders"]
    head = f"{found['upto_seq']}:{found['chain_head']}"
    assert recorded.result("validate", "--head", head)["findings"] == 0
    ((seq, chain_hash),) = recorded.query(
        "SELECT seq, encode(chain_hash, 'hex') FROM events ORDER BY seq LIMIT 1 OFFSET 3"
    )
    assert recorded.result("validate", "--head", f"{seq}:{chain_hash}")["findings"] == 0
    wrong = recorded.result("validate", "--head", f"{seq}:{'0' * 64}", code=1)
    assert wrong["by_rule"] == {"HEADS": 1}


def test_verify_and_validate_name_a_row_that_was_changed(recorded: Recorded) -> None:
    ((seq, body),) = recorded.query(
        "SELECT seq, body::text FROM events WHERE type = 'risk_decision'"
        " AND body->>'verdict' <> 'REJECTED' ORDER BY seq LIMIT 1"
    )
    quantity = json.loads(body)["quantity"]
    forged = body.replace(f'"quantity":"{quantity}"', '"quantity":"1000000"')
    assert forged != body
    recorded.change("UPDATE events SET body = %s WHERE seq = %s", forged, seq)
    try:
        verified = recorded.result("verify", code=1)
        validated = recorded.result("validate", code=1)
        shown = recorded.text("verify", code=1)
    finally:
        recorded.change("UPDATE events SET body = %s WHERE seq = %s", body, seq)

    first = verified["first_divergence"]
    assert verified["divergences"] == 1
    assert (first["kind"], first["stage"], first["seq"]) == ("DIFFERS", "cdb_risk", seq)
    assert first["recorded"]["quantity"] == "1000000"
    assert first["reexecuted"]["quantity"] == quantity
    assert first["cause"]["event_id"] == first["recorded"]["causation_id"]
    assert (validated["first_findings"][0]["rule"], validated["first_findings"][0]["seq"]) == (
        "CHAIN",
        seq,
    )
    assert "divergences: 1. The first:" in shown
    assert f"row {seq} is not what cdb_risk decides" in shown
    assert f"quantity  recorded 1000000, re-executed {quantity}" in shown


def test_verify_and_validate_name_a_row_that_was_deleted(recorded: Recorded) -> None:
    ((seq, event_id, cause),) = recorded.query(
        "SELECT seq, event_id, causation_id FROM events WHERE type = 'risk_decision'"
        " ORDER BY seq LIMIT 1"
    )
    recorded.change(f"CREATE TABLE kept AS SELECT * FROM events WHERE seq = {seq}")  # noqa: S608
    recorded.change("DELETE FROM events WHERE seq = %s", seq)
    try:
        verified = recorded.result("verify", code=1)
        validated = recorded.result("validate", code=1)
    finally:
        recorded.change("INSERT INTO events SELECT * FROM kept")

    first = verified["first_divergence"]
    assert (first["kind"], first["event_id"]) == ("NOT_RECORDED", event_id)
    assert first["cause"]["event_id"] == cause
    assert first["cause"]["seq"] < seq
    assert {"CHAIN", "COMPLETE", "ONE_DECISION"} <= validated["by_rule"].keys()
    reported = " ".join(finding["message"] for finding in validated["first_findings"])
    assert f"row {seq} is not in its place" in reported


def test_verify_and_validate_name_a_pair_of_ticks_that_was_swapped(recorded: Recorded) -> None:
    early, late = recorded.query(
        "SELECT seq, body::text FROM market_data WHERE kind = 'trade' ORDER BY seq LIMIT 2"
    )
    put = "UPDATE market_data SET body = %s WHERE seq = %s"
    recorded.change(put, late[1], early[0])
    recorded.change(put, early[1], late[0])
    try:
        verified = recorded.result("verify", code=1)
        validated = recorded.result("validate", code=1)
    finally:
        recorded.change(put, early[1], early[0])
        recorded.change(put, late[1], late[0])

    first = verified["first_divergence"]
    assert (first["kind"], first["behind"]) == ("MISPLACED", late[0])
    assert {"TICKS", "ORDER"} <= validated["by_rule"].keys()
    assert {early[0], late[0]} <= {finding["seq"] for finding in validated["first_findings"]}
    assert recorded.result("validate")["findings"] == 0


# -- replay ---------------------------------------------------------------------------------------


def test_a_replay_without_changes_decides_the_same(recorded: Recorded) -> None:
    found = recorded.result("replay")
    assert found["differ"] == 0
    assert found["same"] > 0
    assert found["first_difference"] is None
    assert found["before"] == found["after"]
    assert (found["baseline"], found["run_id"]) == ("record", recorded.run["run_id"])


def test_a_replay_with_another_limit_lists_what_would_have_been_decided(recorded: Recorded) -> None:
    setting = "MAX_POSITION_PCT=0.05"
    found = recorded.result("replay", "--set", setting)
    assert found["set"] == {"MAX_POSITION_PCT": "0.05"}
    assert found["differ"] == sum(found["by_change"].values()) > 0
    first = found["first_difference"]
    assert first["before"] != first["after"]
    assert first["cause"]["event_id"]
    text = recorded.text("replay", "--set", setting)
    assert f"the first that differs ({first['change']})" in text
    assert f"{found['differ']:,} differ" in text


def test_the_counts_of_a_replay_add_up_and_are_those_of_the_run(recorded: Recorded) -> None:
    before = recorded.result("replay")["before"]
    totals = {
        kind: before[kind]["approved"]
        + before[kind]["trimmed"]
        + sum(before[kind]["rejected"].values())
        for kind in ("entries", "exits")
    }
    own = sum(before["own_exits"].values())
    assert before["signals"] == sum(totals.values()) == recorded.run["signals"]
    assert before["decisions"] == sum(totals.values()) + own
    assert before["orders"] == recorded.run["orders"]
    why = recorded.result("why")
    assert (why["entries"], why["exits"]) == (before["entries"], before["exits"])


# -- explain, trace, why, stats -------------------------------------------------------------------


def test_a_filled_order_is_reported_as_a_tree(recorded: Recorded) -> None:
    ((order_id,),) = recorded.query(
        "SELECT order_id FROM orders WHERE status = 'FILLED' AND NOT reduce_only"
        " ORDER BY seq LIMIT 1"
    )
    text = recorded.text("explain", order_id)
    for said in ("tick: trade BTC_USDT", "signal: ", "layer 7 frequency", "sizing: ", "fee: "):
        assert said in text
    assert "<- asked for" in text
    reported = recorded.result("explain", order_id[:10])
    assert {"title", "lines", "children"} <= set(reported)


def test_a_story_is_traced_in_order(recorded: Recorded) -> None:
    ((correlation_id, count),) = recorded.query(
        "SELECT correlation_id, count(*) FROM events WHERE correlation_id IS NOT NULL"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    )
    reported = recorded.result("trace", correlation_id)
    assert reported["correlation_id"] == correlation_id
    assert len(reported["events"]) == count
    seqs = [event["seq"] for event in reported["events"]]
    assert seqs == sorted(seqs)
    by_member = recorded.result("trace", reported["events"][-1]["event_id"])
    assert by_member == reported
    assert len(recorded.text("trace", correlation_id).splitlines()) == count


def test_the_funnel_adds_up_to_what_the_run_said(recorded: Recorded) -> None:
    reported, run = recorded.result("why"), recorded.run
    assert reported["adds_up"] is True
    assert reported["signals"] == run["signals"]
    assert reported["orders"] == run["orders"]
    assert reported["rejected"] == run["decisions"]["rejected"]
    assert reported["approved"] == run["decisions"]["approved"]
    assert isinstance(reported["what_would_change_it"], list)
    text = recorded.text("why", "--run", "last")
    assert "the sums add up" in text
    nothing = recorded.result("why", "--since", "2099-01-01")
    assert (nothing["ticks"], nothing["signals"], nothing["adds_up"]) == (0, 0, True)


def test_the_statistics_are_those_of_the_run(recorded: Recorded) -> None:
    reported = recorded.result("stats")
    assert reported["run_id"] == recorded.run["run_id"]
    assert reported["total"]["trades"] == recorded.run["trades"]
    assert sum(reported["orders"].values()) == recorded.run["orders"]
    assert "recorded: " in recorded.text("stats", "--run", recorded.run["run_id"][:8])


def test_the_days_add_up_to_the_run(recorded: Recorded) -> None:
    reported = recorded.result("stats", "--days")
    days = reported["days"]
    assert reported["run_id"] == recorded.run["run_id"]
    assert sum(day["trades"] for day in days) == recorded.run["trades"]
    assert sum(day["halts"] for day in days) == recorded.run["halts"]
    assert sum(Decimal(day["fees"]) for day in days) == Decimal(recorded.run["fees"])
    lost = sum(Decimal(gap["loss"]) for gap in recorded.run["price_gaps"])
    assert sum(Decimal(day["gap_loss"]) for day in days) == lost
    for day in days:
        assert Decimal(day["lowest"]) <= min(Decimal(day["begin"]), Decimal(day["end"]))
        assert 0 <= Decimal(day["worst_pct"]) <= Decimal(recorded.run["worst_day_pct"])
    assert days[0]["day"] in recorded.text("stats", "--days")


# -- db rebuild -----------------------------------------------------------------------------------


def test_the_tables_are_what_the_record_makes(recorded: Recorded) -> None:
    reported = recorded.result("db", "rebuild", "--check")
    assert (reported["identical"], reported["kept"]) == (True, False)
    assert reported["tables"]["signals"]["rows"] == recorded.run["signals"]
    assert reported["tables"]["trades"]["rows"] == recorded.run["trades"]


def test_a_changed_table_is_noticed_and_made_again(recorded: Recorded) -> None:
    recorded.change(
        "UPDATE trades SET profit_loss = profit_loss + 1000"
        " WHERE seq = (SELECT min(seq) FROM trades)"
    )
    noticed = recorded.result("db", "rebuild", "--check", code=1)
    assert noticed["identical"] is False
    assert noticed["tables"]["trades"]["only_before"] == 1
    assert noticed["tables"]["trades"]["only_after"] == 1

    refused = recorded.text("db", "rebuild", code=1)
    assert "the tables were made again" not in refused, "nobody has said yes"
    assert recorded.result("db", "rebuild", "--check", code=1)["identical"] is False

    assert "the tables were made again" in recorded.text("db", "rebuild", "--yes")
    assert recorded.result("db", "rebuild", "--check")["identical"] is True
