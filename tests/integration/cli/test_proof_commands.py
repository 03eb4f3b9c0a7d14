"""Proof on the command line: verify, export and files; what is reported when it cannot be given."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.claire_command import MINUTE_MS, START_MS
from tests.recorded_home import Recorded, claire

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

UNKNOWN = "0" * 32


# -- verify ---------------------------------------------------------------------------------------


def test_a_record_at_rest_is_verified_and_its_server_started_for_as_long(
    recorded: Recorded,
) -> None:
    found = recorded.verified
    assert found["divergences"] == 0
    assert found["first_divergence"] is None
    assert found["pending"] == found["lost_and_named"] == 0
    assert list(found["runs"]) == [recorded.run["run_id"]]
    assert found["events"] == found["last_seq"] == recorded.run["last_seq"]
    answered = sum(1 for _ in recorded.query("SELECT 1 FROM risk_decisions"))
    assert found["decisions_by_stage"]["cdb_risk"] >= answered > 0
    assert found["decisions"] == sum(found["decisions_by_stage"].values())
    assert {"against", "seconds", "events_per_s", "code_version"} < set(found)


def test_the_kernel_in_one_process_decides_what_a_run_in_lock_step_decided(
    recorded: Recorded,
) -> None:
    found = recorded.result("verify", "--against", "kernel", "--run", "last")
    assert (found["against"], found["divergences"]) == ("kernel", 0)
    assert found["decisions"] == recorded.verified["decisions"]


def test_a_part_of_a_run_is_verified(recorded: Recorded) -> None:
    middle = datetime.fromtimestamp((START_MS + 60 * MINUTE_MS) / 1000, UTC).isoformat()
    early = recorded.result("verify", "--until", middle)
    late = recorded.result("verify", "--since", middle)
    whole = recorded.verified["decisions"]
    assert 0 < early["decisions"] < whole
    assert 0 < late["decisions"] < whole
    assert early["divergences"] == late["divergences"] == 0


def test_what_a_person_reads_says_that_all_is_equal(recorded: Recorded) -> None:
    text = recorded.text("verify")
    assert "divergences: 0. The record is what this code decides on this data." in text


# -- a file instead of a database -----------------------------------------------------------------


def test_an_exported_file_answers_as_the_database_does(recorded: Recorded, tmp_path: Path) -> None:
    nowhere = tmp_path / "no home"
    for command in ("verify", "validate", "replay"):
        done = claire(nowhere, command, "--file", recorded.file, "--json")
        assert done.exit_code == 0, done.output
    from_file = recorded.result("verify", "--file", recorded.file)
    for name in ("events", "decisions", "divergences", "last_seq"):
        assert from_file[name] == recorded.verified[name]


def test_an_export_says_what_it_wrote(recorded: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "part.jsonl.gz"
    reported = recorded.result("export", "--run", "last", "--out", out)
    assert reported["file"] == str(out)
    assert reported["bytes"] == out.stat().st_size
    assert (reported["from"], reported["upto"]) == (1, recorded.run["last_seq"])
    with gzip.open(out) as file:
        assert sum(1 for _ in file) == reported["rows"] + 2
    assert "rows, seq 1 to" in recorded.text("export", "--out", out)


@pytest.mark.parametrize("command", ["verify", "validate", "replay"])
def test_a_cut_file_is_refused_and_never_taken_for_a_shorter_record(
    recorded: Recorded, command: str, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(recorded.file.read_bytes()[:-2_000])
    done = claire(tmp_path, command, "--file", cut)
    assert done.exit_code == 1
    assert "damaged behind row" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_without_its_last_line_was_cut(recorded: Recorded, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    lines = gzip.decompress(recorded.file.read_bytes()).splitlines(keepends=True)
    cut.write_bytes(gzip.compress(b"".join(lines[:-1])))
    done = claire(tmp_path, "verify", "--file", cut)
    assert done.exit_code == 1
    assert "it was cut" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("verify", "--file", "x.gz", "--on", "embedded"), 2, "name two records"),
        (("verify", "--file", "absent.gz"), 2, "'absent.gz' does not exist"),
        (("verify", "--since", "soon"), 2, "'soon' is no time; write for instance 2026-05-21"),
        (("verify", "--since", "2026-05-21", "--until", "2026-05-20"), 2, "nothing lies between"),
        (("verify", "--until", "1999-01-01"), 1, "no run lies in that time"),
        (("verify", "--run", "nobody"), 1, "no run has the id 'nobody'; the last ones are"),
        (("validate", "--run", "nobody"), 1, "no run has the id 'nobody'"),
        (("validate", "--head", "17"), 2, "write SEQ:HASH"),
        (("replay", "--run", "nobody"), 1, "no run has the id 'nobody'"),
        (("replay", "--set", "MAX_POSITION_PCT"), 2, "write NAME=VALUE"),
        (("replay", "--set", "MAX_POSITION=1"), 2, "MAX_POSITION is no trading setting"),
        (("replay", "--set", "MAX_POSITION_PCT=7"), 2, "MAX_POSITION_PCT"),
        (("stats", "--run", "nobody"), 1, "no run has the id 'nobody'"),
        (("why", "--run", "nobody"), 1, "no run has the id 'nobody'"),
        (("why", "--since", "31.12.2025"), 2, "'31.12.2025' is no time"),
        (("explain", UNKNOWN), 1, f"has the id '{UNKNOWN}'; the ne"),
        (("trace", UNKNOWN), 1, f"has the id '{UNKNOWN}'; the ne"),
        (("export", "--out", "/no/such/folder/x.gz"), 1, "/no/such/folder"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.gz").touch()
    done = claire(recorded.home, *arguments)
    assert done.exit_code == code, done.output
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("validate",),
        ("replay",),
        ("explain", UNKNOWN),
        ("trace", UNKNOWN),
        ("why",),
        ("stats",),
        ("export", "--out", "x.gz"),
        ("db", "rebuild", "--yes"),
    ],
)
def test_without_a_record_the_way_to_one_is_named(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = claire(tmp_path / "home", *arguments, "--on", "embedded")
    assert done.exit_code == 1
    assert "nothing is recorded in" in done.stderr
    assert "claire run-paper" in done.stderr
    assert not (tmp_path / "home").exists(), "a question makes no home"
