"""What `claire run-paper` accepts, and what it says about the rest."""

import json
from pathlib import Path

import click
import pytest

from services.cli.failure import BadInput
from services.cli.run.run_options import (
    ControlEntry,
    Duration,
    Speed,
    out_of_range,
    read_control_file,
    read_settings,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1.5m", 90)]
)
def test_a_duration_is_in_seconds(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "-5m", "5 weeks", "1e9h"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 90s, 15m, 2h or 1d"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "speed"), [("max", "max"), ("MAX", "max"), ("60", "60"), ("1.0", "1"), ("0.5", "0.5")]
)
def test_a_speed_has_one_spelling(text: str, speed: str) -> None:
    assert Speed().convert(text, None, None) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "flood", "fast"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 1, 60 or max"):
        Speed().convert(text, None, None)


def test_settings_are_named_in_any_case() -> None:
    assert read_settings(["stop_loss_pct=0.03", "TOP_N=5"]) == {
        "STOP_LOSS_PCT": "0.03",
        "TOP_N": "5",
    }


def test_an_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(BadInput, match="did you mean STOP_LOSS_PCT"):
        read_settings(["STOP_LOS_PCT=0.03"])


@pytest.mark.parametrize("assignment", ["STOP_LOSS_PCT", "STOP_LOSS_PCT=two"])
def test_an_assignment_needs_a_value_that_is_a_number(assignment: str) -> None:
    with pytest.raises(BadInput, match="STOP_LOSS_PCT"):
        read_settings([assignment])


def test_secrets_are_not_set_on_the_command_line() -> None:
    with pytest.raises(BadInput, match="there is no setting REDIS_PASSWORD"):
        read_settings(["REDIS_PASSWORD=x"])


def test_out_of_range_is_reported_with_what_is_used_instead() -> None:
    (line,) = out_of_range({"STOP_LOSS_PCT": "0.5"})

    assert "STOP_LOSS_PCT=0.5 is out of range; 0.02 is used" in line


def write(folder: Path, *lines: object) -> Path:
    path = folder / "control.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_a_control_file_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"at": 2000, "command": "reset", "reason": "looked at it"},
        "",
        {"at": 1000, "command": "pause", "symbol": "BTC_USDT"},
    )

    assert read_control_file(path) == (
        ControlEntry(1000, "pause", "from the control file", "BTC_USDT"),
        ControlEntry(2000, "reset", "looked at it"),
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ({"at": "soon", "command": "halt"}, "at='soon' is no time"),
        ({"at": True, "command": "halt"}, "at=True is no time"),
        ({"at": 1, "command": "explode"}, "command='explode'"),
        ({"at": 1, "command": "reset"}, "a reset needs a reason"),
        ({"at": 1, "command": "halt", "why": "x"}, "unknown key 'why'"),
        ({"at": 1, "command": "pause", "symbol": 5}, "symbol=5"),
    ],
)
def test_a_bad_control_line_is_reported_with_file_and_line(
    tmp_path: Path, line: object, complaint: str
) -> None:
    path = write(tmp_path, {"at": 1, "command": "halt"}, line)

    with pytest.raises(BadInput, match=r"control\.jsonl:2: ") as raised:
        read_control_file(path)

    assert complaint in raised.value.message
