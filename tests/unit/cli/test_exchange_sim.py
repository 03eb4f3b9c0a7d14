"""What `claire exchange-sim` accepts, refuses and explains, before it listens."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.develop.exchange_sim import exchange_sim
from services.exchange_sim.faults.faults import FaultKind

pytestmark = pytest.mark.unit


def test_every_fault_is_listed() -> None:
    shown = CliRunner().invoke(exchange_sim, ["--list-faults"])

    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.output.splitlines()] == list(FaultKind)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--script", "missing.json"], "does not exist"),
        (["--symbols", "BTC"], "BASE_QUOTE"),
        (["--rate", "0"], "0.01"),
        (["--speed", "fast"], "fast"),
        (["--data", "missing.csv"], "does not exist"),
    ],
)
def test_wrong_options_are_refused(options: list[str], why: str) -> None:
    shown = CliRunner().invoke(exchange_sim, options)

    assert shown.exit_code == 2
    assert why in shown.output


def test_faults_come_from_one_place(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text("{}", "utf-8")

    shown = CliRunner().invoke(exchange_sim, ["--script", str(script), "--faults", "3"])

    assert shown.exit_code == 2
    assert "give one of them" in shown.output


def test_a_script_for_a_contract_that_is_not_traded_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('{"faults": [{"kind": "hole", "symbol": "NOPE_USDT"}]}', "utf-8")

    shown = CliRunner().invoke(exchange_sim, ["--script", str(script)])

    assert shown.exit_code == 2
    assert "no contract NOPE_USDT" in shown.output


def test_unusable_data_is_refused_with_its_file(tmp_path: Path) -> None:
    data = tmp_path / "something.csv"
    data.write_text("a,b\n1,2\n", "utf-8")

    shown = CliRunner().invoke(exchange_sim, ["--data", str(data)])

    assert shown.exit_code == 2
    assert "something.csv" in shown.output
