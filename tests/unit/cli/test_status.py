"""What `claire status` says: health, halts, pauses, and how old the prices of positions are."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli.look import status as status_command
from services.cli.look.container_health import container_health, seen
from services.cli.look.status import position_lines, positions_of, trading_lines, trading_of
from services.cli.main import claire
from services.cli.target import Target
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.service.http_query import HttpAnswer

pytestmark = pytest.mark.unit

QUIET: dict[str, Any] = {
    "account": "ACTIVE", "halt_reason": None, "further_halts": [], "operator_paused": False,
    "restricted": {}, "conditions": {},
}  # fmt: skip


def risk(**state: Any) -> dict[str, Any]:
    return {"cdb_risk": {"status": {"stage": QUIET | state}}}


def lines(**state: Any) -> list[str]:
    return list(trading_lines(trading_of(risk(**state))))


# -- trading --------------------------------------------------------------------------------------


def test_an_active_account_is_one_line() -> None:
    assert lines() == ["trading ACTIVE"]


def test_a_halt_is_shown_with_its_first_cause_and_the_others_behind_it() -> None:
    shown = lines(
        account="HALTED",
        halt_reason="DAILY_DRAWDOWN: equity is 5.05% below the day's start",
        further_halts=["OPERATOR: operator: mine"],
    )

    assert shown[0].startswith("trading HALTED: DAILY_DRAWDOWN: equity is 5.05% below")
    assert "claire reset" in shown[0]
    assert shown[1:] == ["  halted also by OPERATOR: operator: mine"]


def test_a_pause_a_condition_and_every_restricted_symbol_are_shown() -> None:
    shown = lines(
        account="PAUSED",
        operator_paused=True,
        conditions={"cdb_db_writer|DATABASE_AWAY|": "DATABASE_AWAY: not reachable"},
        restricted={
            "ETH_USDT": {"state": "PAUSED", "why": ["OPERATOR", "DATA_STALE"]},
            "SOL_USDT": {"state": "HALTED", "why": ["QUARANTINED", "PRICE_JUMP"]},
        },
    )

    assert shown[0] == "trading PAUSED"
    assert shown[1] == "  paused by an operator (claire resume)"
    assert shown[2:] == [
        "  no entries: DATABASE_AWAY: not reachable",
        "  ETH_USDT PAUSED: OPERATOR, DATA_STALE",
        "  SOL_USDT QUARANTINED: QUARANTINED, PRICE_JUMP",
    ]


def test_more_symbols_than_a_screen_holds_are_counted() -> None:
    restricted = {f"S{n}_USDT": {"state": "PAUSED", "why": ["OPERATOR"]} for n in range(25)}
    assert lines(restricted=restricted)[-1] == "  and 5 more symbols; --json lists all"


def test_without_an_answer_of_risk_nothing_is_claimed() -> None:
    assert "unknown" in next(trading_lines(trading_of({})))


# -- positions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "priced_at", "said"),
    [
        (1_000_000, 997_000, "is 3 s old"),
        (200_000_000, 200_000_000 - 49 * 3_600_000, "is 2 d 1 h old"),
        (1_000_000, 1_000_500, "is 0 s old"),
        (1_000_000, None, "is of unknown age"),
        (None, 1, "is of unknown age"),
    ],
)
def test_a_position_is_shown_with_the_age_of_its_price(
    clock: int | None, priced_at: int | None, said: str
) -> None:
    position = {
        "symbol": "BTC_USDT", "quantity": "-2", "mark_price": "99", "unrealised_profit": "2",
        "priced_at": priced_at,
    }  # fmt: skip
    stage = {"clock_ms": clock, "positions": [position]}

    (line,) = position_lines(positions_of({"cdb_paper_runner": {"status": {"stage": stage}}}))

    assert line.startswith("position BTC_USDT: short 2, price 99 ")
    assert said in line


# -- the container whose port is internal ---------------------------------------------------------


def test_a_healthy_container_shows_what_its_service_measured() -> None:
    answer = {"status": "ok", "measured": {"commit_age_s": 0.1}}
    check = {"Status": "healthy", "Log": [{"Output": "old"}, {"Output": json.dumps(answer)}]}

    entry = seen("docker:cdb_db_writer", {"Running": True, "Health": check})

    assert (entry["healthy"], entry["health"]) == (True, answer)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"Running": False, "Status": "exited"}, "the container is exited, not running"),
        (
            {"Running": True, "Health": {"Status": "unhealthy", "Log": [{"Output": "no answer"}]}},
            "no answer",
        ),
        ({"Running": True, "Health": {"Status": "starting", "Log": []}}, "not checked yet"),
        (
            {"Running": True, "Health": {"Status": "unhealthy", "Log": [{"Output": '{"a": 1}'}]}},
            "its health check is unhealthy",
        ),
    ],
)
def test_a_container_that_is_not_healthy_is_red_with_the_reason(
    state: dict[str, Any], reason: str
) -> None:
    entry = seen("docker:x", state)
    assert (entry["healthy"], entry["health"]["reason"]) == (False, reason)


@pytest.mark.parametrize(
    ("script", "healthy", "reason"),
    [
        ("print('Error: No such container: x', file=sys.stderr); sys.exit(1)", False, "named x"),
        ("print('Cannot connect to the engine', file=sys.stderr); sys.exit(1)", None, "engine"),
        ('print(\'{"Running": false, "Status": "dead"}\')', False, "dead"),
    ],
)
def test_docker_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, healthy: bool | None, reason: str
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!{sys.executable}\nimport sys\n{script}\n", encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    entry = container_health("x")

    assert entry["healthy"] is healthy
    assert reason in entry["health"]["reason"]


def test_without_docker_the_writer_s_health_is_unknown_and_not_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    entry = container_health("cdb_db_writer")
    assert (entry["healthy"], entry["url"]) == (None, "docker:cdb_db_writer")


# -- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "code"), [(True, 0), (None, 0), (False, 1)])
def test_the_writer_is_one_of_the_services_and_its_red_is_the_command_s(
    monkeypatch: pytest.MonkeyPatch, writer: bool | None, code: int
) -> None:
    address = RedisAddress("127.0.0.1", 1, "operator", "x")
    target = Target("the test", address, {"cdb_risk": "http://risk"}, {"cdb_db_writer": "w"})
    monkeypatch.setattr(status_command, "find_target", lambda _: target)
    monkeypatch.setattr(status_command, "get_json", answer)
    entry = {"url": "docker:w", "healthy": writer, "health": {"reason": "why"}, "status": None}
    monkeypatch.setattr(status_command, "container_health", lambda _: entry)

    shown = CliRunner().invoke(claire, ["status"])
    reported = CliRunner().invoke(claire, ["status", "--json"])

    assert shown.exit_code == reported.exit_code == code
    assert "cdb_db_writer" in shown.stdout
    assert "trading HALTED: OPERATOR: mine" in shown.stdout
    body = json.loads(reported.stdout.splitlines()[-1])
    assert list(body["services"]) == ["cdb_risk", "cdb_db_writer"]
    assert body["trading"]["halt_reason"] == "OPERATOR: mine"
    assert body["healthy"] is (writer is not False)


def answer(url: str) -> HttpAnswer:
    if url.endswith("/health"):
        return HttpAnswer(200, {"status": "ok"})
    return HttpAnswer(
        200, {"stage": QUIET | {"account": "HALTED", "halt_reason": "OPERATOR: mine"}}
    )
