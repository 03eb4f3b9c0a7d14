"""What CONTRIBUTING.md asks of every file, as far as a program can check."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
TESTS = [path for path in SOURCES if path.name.startswith("test_")]
SAYS_NOTHING = {"utils.py", "helpers.py", "common.py"}
DECISION_LOG = ROOT / "backoffice" / "docs" / "DECISION_LOG.md"
FAULTS = ROOT / "tests" / "e2e" / "chaos" / "faults.py"  # what lasts for a time is no waiting
RETIRED = ("cdb_" + "rest", "cdb_" + "signal_gen")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    assert SOURCES
    return {path: path.read_text("utf-8") for path in SOURCES}


def test_files_are_short_enough_to_read(texts: dict[Path, str]) -> None:
    assert [name(path) for path, text in texts.items() if text.count("\n") >= 400] == []


def test_functions_are_short_enough_to_read(texts: dict[Path, str]) -> None:
    long = [
        f"{name(path)}: {node.name}"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 >= 50
    ]
    assert long == []


def test_waiting_in_tests_has_one_place(texts: dict[Path, str]) -> None:
    loops = [
        name(path)
        for path, text in texts.items()
        if path.is_relative_to(ROOT / "tests") and "sleep(" in text and path != FAULTS
        for loop in ast.walk(ast.parse(text))
        if isinstance(loop, ast.While)
        for node in ast.walk(loop)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep"
    ]
    assert loops == ["tests/deadline.py"]


def test_a_module_is_named_for_what_it_does() -> None:
    assert [name(path) for path in SOURCES if path.name in SAYS_NOTHING] == []


def test_every_test_says_which_suite_it_is_of(texts: dict[Path, str]) -> None:
    assert [name(path) for path in TESTS if "\npytestmark = " not in texts[path]] == []


def test_retired_service_names_stand_in_the_decision_log_only(texts: dict[Path, str]) -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("*.yml"), *(ROOT / "backoffice").rglob("*.md")]
    texts = texts | {path: path.read_text("utf-8") for path in documents if path != DECISION_LOG}
    assert [name(path) for path, text in texts.items() if any(old in text for old in RETIRED)] == []


def test_what_only_looks_at_the_database_cannot_write(texts: dict[Path, str]) -> None:
    connections = "services/runtime/database/connections.py"
    can_write = {
        name(path)
        for path in SOURCES
        if "services" in path.parts
        for node in ast.walk(ast.parse(texts[path]))
        if isinstance(node, ast.ImportFrom)
        and node.module == connections.removesuffix(".py").replace("/", ".")
        and any(imported.name == "connect" for imported in node.names)
    }
    assert (ROOT / connections).is_file()
    assert can_write == {
        *("services/persistence/order_store.py", "services/persistence/record_store.py"),
        *("services/persistence/rebuild.py", "services/runtime/database/migrations.py"),
        "services/lab/bench/store/explain.py",
    }
