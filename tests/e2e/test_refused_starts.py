"""What a service does not start with: exit code 1, and one line that says what and why."""

import re

import pytest

from tests.e2e.stack import SERVICES, Stack, StackError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def refusal(stack: Stack, service: str, **environment: str) -> str:
    """The only line that a service writes when it refuses to start."""
    flags = [flag for name, text in environment.items() for flag in ("-e", f"{name}={text}")]
    with pytest.raises(StackError) as refused:
        stack.compose("run", "--rm", "--no-deps", "-T", *flags, service)
    lines = [line for line in str(refused.value).splitlines() if line.startswith(f"{service}: ")]
    assert len(lines) == 1, refused.value
    return lines[0]


@pytest.mark.parametrize("service", SERVICES)
def test_live_trading_is_refused_with_the_reason(external: Stack, service: str) -> None:
    line = refusal(external, service, TRADING_MODE="live")

    assert "TRADING_MODE=live" in line
    assert "paper" in line


@pytest.mark.parametrize("service", SERVICES)
def test_a_missing_secret_is_named(external: Stack, service: str) -> None:
    name = f"REDIS_PASSWORD_{service.upper()}"

    assert name in refusal(external, service, **{f"{name}_FILE": ""})


def test_a_risk_setting_that_is_no_number_is_named(external: Stack) -> None:
    line = refusal(external, "cdb_paper_runner", MAX_POSITION_PCT="ten percent")

    assert re.search(r"MAX_POSITION_PCT='ten percent'.*0\.01 to 0\.25", line)
