"""What the Dockerfile promises: one small image that can neither build nor install."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
STAGES = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_it_has_a_build_stage_and_a_final_one_on_the_same_pinned_base() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert len(bases) == 2
    assert set(bases) == {"python:3.11-slim-bookworm"}


def test_no_other_dockerfile_syntax_is_fetched() -> None:
    assert "# syntax" not in DOCKERFILE


def test_the_final_stage_installs_nothing_and_loses_pip() -> None:
    final = STAGES[-1]

    assert not re.search(r"apt-get|pip --|pip install|gcc|build-essential|make ", final)
    assert "rm -rf /usr/local/bin/pip*" in final


def test_the_final_stage_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert re.search(r"^USER 10001:10001$", STAGES[-1], re.MULTILINE)


def test_no_secret_and_no_setting_is_baked_in() -> None:
    assert not re.search(r"PASSWORD|SECRET|\.env(?!\.example)|TRADING_MODE|CDB_", DOCKERFILE)


def test_what_is_copied_is_in_the_build_context() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {rule.strip("!/") for rule in rules if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(\S+) ", DOCKERFILE, re.MULTILINE)

    assert {"services", "backoffice", "scenarios"} <= set(copied)
    for place in copied:
        assert (ROOT / place).exists(), place
        assert place.split("/")[0] in allowed, place


def test_the_build_context_is_an_allow_list() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert not any(re.search(r"secrets|\.git|tests|data", rule) for rule in rules if rule[0] == "!")


def test_benchmarks_and_soaks_stay_out_of_the_image() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert (ROOT / "services" / "lab").is_dir()
    assert rules.index("services/lab/") > rules.index("!services/")  # the last rule decides
