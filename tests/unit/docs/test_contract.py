"""The contract: numbered rules, and each names tests that exist and fail without it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests"
CONTRACT = ROOT / "backoffice" / "docs" / "CONTRACT.md"
RULE = re.compile(r"^\*\*(\d+)\.(\d+)\*\* ", re.MULTILINE)
PROOF = re.compile(r"`(\w+\.py)::(test_\w+)`")


def rules_of(text: str) -> dict[str, str]:
    """Number to text, with what proves it."""
    starts = list(RULE.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return {
        f"{start[1]}.{start[2]}": text[start.end() : end].split("\n## ", maxsplit=1)[0]
        for start, end in zip(starts, ends, strict=True)
    }


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests in all files of that name: a move to another room breaks no rule."""
    texts = [path.read_text("utf-8") for path in TESTS.rglob(file)]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    return frozenset(
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def problems_of(text: str) -> list[str]:
    """What is wrong with the rules, in words."""
    found = []
    for number, rule in rules_of(text).items():
        proofs = PROOF.findall(rule)
        if not proofs:
            found.append(f"rule {number} names no test")
        found += [
            f"rule {number}: {file} has no {name}"
            for file, name in proofs
            if name not in names_in(file)
        ]
    return found


def test_every_rule_names_tests_that_exist() -> None:
    assert problems_of(CONTRACT.read_text("utf-8")) == []


def test_rules_are_numbered_one_after_the_other() -> None:
    text = CONTRACT.read_text("utf-8")
    numbers = [(int(rule[1]), int(rule[2])) for rule in RULE.finditer(text)]
    sections = [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]

    assert sections == list(range(1, len(sections) + 1))
    assert numbers == [
        (section, place + 1)
        for section in sections
        for place in range(sum(first == section for first, _ in numbers))
    ]


def test_no_source_and_no_document_points_outside_of_the_project() -> None:
    outside = re.compile(
        r"\bSPE[C]\b|\b(?:DESIG[N]|STYL[E]|LESSON[S]|ROADMA[P])\.md|\.\./share[d]\b"
    )
    places = [ROOT / "services", TESTS, ROOT / "backoffice", ROOT / "scenarios"]
    files = [*ROOT.glob("*.md"), *(file for place in places for file in place.rglob("*.*"))]
    found = [
        str(file.relative_to(ROOT))
        for file in files
        if file.suffix in (".py", ".md", ".toml", ".yml")
        and outside.search(file.read_text("utf-8"))
    ]

    assert found == []


def test_every_link_leads_somewhere() -> None:
    text = CONTRACT.read_text("utf-8")

    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (CONTRACT.parent / target).exists(), target


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("**1.1** A rule.\n", "rule 1.1 names no test"),
        ("**1.1** A rule.\n\nTests: `test_contract.py::test_no`\n",
         "rule 1.1: test_contract.py has no test_no"),
        ("**1.1** A rule.\n\nTests: `test_none.py::test_no`\n",
         "rule 1.1: test_none.py has no test_no"),
    ],
)  # fmt: skip
def test_a_rule_without_a_test_that_exists_is_found(rule: str, problem: str) -> None:
    assert problems_of(f"## 1. One\n\n{rule}\n## 2. Two\n\nNo rule, `test_a.py::test_b`\n") == [
        problem
    ]
