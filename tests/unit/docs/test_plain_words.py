"""Private words stay out of names, docstrings, comments, messages and documents.

The glossary gives the word to use instead. Strings without a space are no prose: they hold a
venue's wire words and names of files and fields. Exempt are the glossary, the decision log, dated
reports and fixtures.
"""

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
WORDS = frozenset(
    [
        *("anew", "breathe", "breathes", "crowded", "deal", "deals", "dealt"),
        *("doubt", "doubted", "doubtful", "doubts", "ear", "ears", "leak", "leaked", "leaks"),
        *("spool", "stake", "stakes", "stretch", "stretches", "tape", "tapes"),
        *("tell", "tells", "told", "torn", "whoever"),
    ]
)
"""Words for which the field has another one."""

PHRASES = ("venue words", "heard_ms", "would_take", "problem_of")
PUBLISHED = re.compile(r"in_doubt", re.IGNORECASE)
"""A reason and a rule whose names are in records."""

NOT_OURS = re.compile(r"(?:push|sub)\.deal|\bdeals?/|[/`]deals`|\bspool/|``torn``|https?://\S+")
"""A venue's wire words, stored names, addresses."""

EXEMPT = (
    "CHANGELOG.md",
    "README.de.md",
    "backoffice/docs/DECISION_LOG.md",
    "backoffice/docs/GLOSSARY.md",
    "backoffice/docs/measurements/",
    "tests/data/",
    "tests/unit/docs/test_plain_words.py",
)
NOT_YET = (
    "backoffice/docs/",
    "backoffice/migrations/",
    "backoffice/scripts/",
    "scenarios/database_away.yaml",
    "scenarios/exchange_down.yaml",
    "services/cdb_db_writer/",
    "services/cdb_paper_runner/",
    "services/kernel/risk/",
    "services/kernel/settings/",
    "services/runtime/bus/",
    "services/runtime/consumer/",
    "tests/integration/cdb_db_writer/",
    "tests/integration/runtime/",
    "tests/unit/cdb_db_writer/",
    "tests/unit/kernel/",
    "tests/unit/lab/",
    "tests/unit/runtime/",
)
"""Rooms whose text is not rewritten yet; this list may only get shorter."""

PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_of(name: str) -> set[str]:
    """The private words among the parts of a name such as ``HeldDeals`` or ``told_ms``."""
    name = PUBLISHED.sub(" ", name)
    found = {part.lower() for part in PARTS.findall(name)} & WORDS
    return found | {phrase for phrase in PHRASES if phrase in name.lower()}


def in_prose(text: str) -> set[str]:
    return words_of(NOT_OURS.sub(" ", text))


def in_program(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_prose = token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and " " in token.string.strip()
        )
        found = in_prose(token.string) if is_prose else set[str]()
        if token.type == tokenize.NAME:
            found = words_of(token.string)
        for word in sorted(found):
            yield token.start[0], word


def in_document(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for word in sorted(in_prose(line)):
            yield number, word


def findings(path: Path) -> list[str]:
    text = path.read_text("utf-8")
    found = in_program(text) if path.suffix == ".py" else in_document(text)
    name = path.relative_to(ROOT).as_posix()
    return [f"{name}:{line}: {word}" for line, word in found]


def texts() -> list[str]:
    patterns = ["*.py", "*.md", "*.yaml", "*.yml", "*.toml", "*.sql"]
    listed = subprocess.run(
        ["git", "ls-files", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if not name.startswith(EXEMPT)]


def test_the_field_has_another_word() -> None:
    names = [name for name in texts() if not name.startswith(NOT_YET)]
    assert names
    assert [found for name in names for found in findings(ROOT / name)] == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("held_deals = 1\n", ["deals"]),
        ("class StreamDoubts: ...\n", ["doubts"]),
        ('"""What REST told."""\n', ["told"]),
        ("x = 1  # chosen anew\n", ["anew"]),
        ('raise ValueError(f"{x} is torn")\n', ["torn"]),
        ('channel = "push.deal"\n', []),
        ('"""Frames of ``push.deal``."""\n', []),
        ("reason = Reason.IN_DOUBT\n", []),
        ("hotel = 1  # a dealer retold it\n", []),
    ],
)
def test_what_is_found(program: str, words: list[str]) -> None:
    assert [word for _, word in in_program(program)] == words
