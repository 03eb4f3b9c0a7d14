"""Every command explains itself, and says in one line what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from services.cli.main import claire

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{name} is listed and does not exist"
        found += (
            commands(command, (*path, name))
            if isinstance(command, click.Group)
            else [(*path, name)]
        )
    return found


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without .env, a home without a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAIRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("REDIS_PASSWORD", "CDB_ENV_FILE", "POSTGRES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def test_the_commands_of_this_phase_are_there() -> None:
    assert {" ".join(path) for path in commands(claire)} == {
        "init",
        "run-paper",
        "backtest",
        "report",
        "run-scenarios",
        "up",
        "down",
        "status",
        "console",
        "tail",
        "halt",
        "reset",
        "pause",
        "resume",
        "config",
        "doctor",
        "db migrate",
        "db rebuild",
        "verify",
        "validate",
        "replay",
        "export",
        "explain",
        "why",
        "trace",
        "stats",
        "positions",
        "trades",
        "runs",
        "bench kernel",
        "bench defaults",
        "bench pipeline",
        "data ls",
        "data check",
        "data import",
        "data fetch",
        "record",
        "exchange-sim",
        "soak feed",
        "soak system",
        "bench feed",
        "bench store",
    }


@pytest.mark.parametrize("path", commands(claire), ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(claire, [*path, "--help"])

    assert done.exit_code == 0
    assert "Example" in done.output
    assert f"claire {path[0]}" in done.output


@pytest.mark.parametrize(
    "arguments", [("status",), ("tail",), ("halt",), ("reset", "--reason", "x"), ("pause",)]
)
def test_without_a_system_the_remedy_is_reported(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(claire, arguments)

    assert done.exit_code == 1
    assert "claire run-paper" in done.output
    assert "claire up" in done.output


def test_a_reset_needs_a_reason() -> None:
    assert CliRunner().invoke(claire, ["reset"]).exit_code == 2
    assert CliRunner().invoke(claire, ["reset", "--reason", " "]).exit_code == 2


def test_tail_knows_the_topics() -> None:
    done = CliRunner().invoke(claire, ["tail", "sygnals"])

    assert done.exit_code == 2
    assert "risk_decisions" in done.output


def test_config_has_value_source_and_range(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STOP_LOSS_PCT=0.03\nPOSTGRES_PASSWORD=hush\n")

    done = CliRunner().invoke(claire, ["config", "--set", "TOP_N=3", "--json"])

    settings = json.loads(done.output)["settings"]
    assert settings["STOP_LOSS_PCT"]["value"] == "0.03"
    assert settings["STOP_LOSS_PCT"]["source"] == ".env"
    assert settings["STOP_LOSS_PCT"]["range"] == "0.005 to 0.10"
    assert settings["TOP_N"]["source"] == "--set"
    assert settings["MAX_LEVERAGE"]["source"] == "default"
    assert "hush" not in done.output


def test_up_without_docker_names_the_way_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    done = CliRunner().invoke(claire, ["down"])

    assert done.exit_code == 1
    assert "claire run-paper" in done.output


def test_db_migrate_without_a_password_names_it() -> None:
    done = CliRunner().invoke(claire, ["db", "migrate"])

    assert done.exit_code == 1
    assert "POSTGRES_PASSWORD is not set" in done.output


def test_doctor_looks_at_everything() -> None:
    done = CliRunner().invoke(claire, ["doctor", "--json"])

    findings = json.loads(done.output)["findings"]
    assert {"program", "docker", "home", "ports of the stack"} <= {
        finding["check"] for finding in findings
    }


def test_a_run_with_settings_that_exclude_each_other_is_refused_before_it_starts() -> None:
    done = CliRunner().invoke(claire, ["run-paper", "--set", "MAX_LEVERAGE=10"])

    assert done.exit_code == 1
    assert "MAX_LEVERAGE=10 puts liquidation 9.5 % from the entry price" in done.output


def test_doctor_fails_on_settings_that_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_LEVERAGE=10\n")

    done = CliRunner().invoke(claire, ["doctor", "--json"])

    found = [f for f in json.loads(done.output)["findings"] if f["check"] == "settings"]
    assert any(f["verdict"] == "failed" and "no service starts" in f["found"] for f in found), found


def test_the_help_lists_every_command_whole_and_imports_none() -> None:
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "services.cli.main", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(REPOSITORY)},
    )
    assert isinstance(claire, click.Group)
    for name in claire.list_commands(click.Context(claire)):
        [line] = [line for line in listed.stdout.splitlines() if line.split()[:1] == [name]]
        assert line.endswith(".")
    assert "services.kernel" not in listed.stderr


@pytest.mark.parametrize("verb", ["explain", "trace", "why"])
def test_a_question_to_the_record_loads_neither_the_settings_nor_a_bus_client(verb: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "services.cli.main", verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    loaded = {line.rpartition("|")[2].strip() for line in asked.stderr.splitlines()}
    assert "services.explain" in loaded
    assert not loaded & {"pydantic", "pydantic_settings", "redis", "websockets", "numpy"}


@pytest.mark.parametrize(
    ("line", "meant"),
    [(("stauts",), "status"), (("run-papre",), "run-paper"), (("db", "rebuid"), "rebuild")],
)
def test_a_mistyped_command_suggests_the_nearest(line: tuple[str, ...], meant: str) -> None:
    done = CliRunner().invoke(claire, line)

    assert done.exit_code == 2
    assert "Did you mean" in done.output
    assert f"'{meant}'" in done.output


@pytest.mark.parametrize(
    "line", [("nothing-like-it",), ("stats", "--nope"), ("bench", "kernel", "--ticks", "many")]
)
def test_wrong_input_is_one_line_and_exit_code_2(line: tuple[str, ...]) -> None:
    done = CliRunner().invoke(claire, line)

    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert done.output.startswith("Error: ")
    assert "--help'" in done.output


def test_the_help_has_the_groups_of_the_contract() -> None:
    done = CliRunner().invoke(claire, ["--help"])

    titles = ["Run:", "Operate:", "Look:", "Prove:", "Data:", "Develop:"]
    assert [line for line in done.output.splitlines() if line in titles] == titles


@pytest.mark.parametrize(
    "line",
    [
        ("replay", "--file", "nope"),
        ("verify", "--file", "nope"),
        ("validate", "--file", "nope"),
        ("run-paper", "--data", "nope"),
        ("run-scenarios", "nope"),
        ("data", "check", "nope"),
        ("data", "import", "nope"),
        ("config", "--env-file", "nope"),
    ],
)
def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(line: tuple[str, ...]) -> None:
    done = CliRunner().invoke(claire, line)

    assert done.exit_code == 2, done.output
    assert done.output.count("\n") == 1
    assert "nope" in done.output


@pytest.mark.parametrize("command", ["bench", "soak"])
def test_a_command_that_the_image_lacks_says_where_it_is(command: str) -> None:
    without_lab = """
import sys
class WithoutLab:
    def find_spec(self, name, *_):
        if name == "services.lab":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, WithoutLab())
from services.cli.main import main
main()
"""

    done = subprocess.run(
        [sys.executable, "-c", without_lab, command, "--help"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (
        1,
        f"Error: `claire {command}` is not in the container image:"
        " run it in a checkout (make setup)\n",
    )
