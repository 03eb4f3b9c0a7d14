"""The kernel has no clock, no chance, no floats, no I/O: checked in its source, line by line."""

import ast
import sys
from pathlib import Path

import pytest

import services.kernel

pytestmark = pytest.mark.unit

ROOT = Path(services.kernel.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ALLOWED_THIRD_PARTY = {"msgspec"}
IMPURE_STANDARD_LIBRARY = {
    "asyncio", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "queue", "random",
    "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib", "uuid", "zoneinfo",
}  # fmt: skip
IMPURE_NAMES = {"open", "print", "input", "eval", "exec", "float", "hash", "id", "globals"}
LINES_AT_MOST = 400


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_it_imports_only_the_standard_library_msgspec_and_itself(path: Path) -> None:
    for name in imported(ast.parse(path.read_text())):
        top = name.split(".")[0]
        if top == "services":
            assert name.startswith("services.kernel"), name
        else:
            assert top in sys.stdlib_module_names or top in ALLOWED_THIRD_PARTY, name
            assert top not in IMPURE_STANDARD_LIBRARY, name


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_it_has_no_floats(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"line {node.lineno}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            operands = (node.left, node.right)
            whole = [isinstance(o, ast.Constant) and isinstance(o.value, int) for o in operands]
            assert not all(whole), f"line {node.lineno} divides integers"


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_it_calls_nothing_that_differs_between_two_runs(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in IMPURE_NAMES, f"line {node.lineno}: {node.func.id}"
        assert not isinstance(node, ast.Global | ast.AsyncFunctionDef), by_name(path)


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_it_stays_readable(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first line says what the module is for"
    assert len(text.splitlines()) < LINES_AT_MOST
