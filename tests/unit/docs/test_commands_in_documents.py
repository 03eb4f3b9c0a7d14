"""Every `claire` and `make` command in a document exists, with the options that it names."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from services.cli.main import claire

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "scenarios").rglob("*.md"),
        *(ROOT / "services").rglob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
        *(
            page
            for page in (ROOT / "backoffice" / "docs").rglob("*.md")
            if page.name != "DECISION_LOG.md" and page.parent.name != "measurements"
        ),
    ]
)
CODE = re.compile(r"^```[a-z]*\n(.*?)^```|^((?: {4}.*\n)+)|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[ $(/|])(claire|make) ((?:[^|&;#`]|\\\n)*)")
BEFORE = re.compile(r"[\s$(]*(?:\.venv/bin/)?|.*&& ")
"""What stands before a program in a line of code; else the word is not a program."""
NOT_OPTIONS = ("...", "N", "K")
"""What stands for something else in a text."""


def commands_of(document: Path) -> Iterator[tuple[str, str]]:
    """Program and arguments of every command in the document's code."""
    for code in CODE.finditer(document.read_text(encoding="utf-8")):
        block = (code[1] or code[2] or code[3]).replace("\\\n", " ")
        for line in block.splitlines():
            for found in COMMAND.finditer(line):
                if BEFORE.fullmatch(line[: found.start(1)]):
                    yield found[1], found[2].strip()


def unknown(arguments: list[str]) -> str | None:
    """What the command line does not know among these arguments; None if it knows all."""
    command: click.Command = claire
    context = click.Context(command)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(context, name)
        if found is None:
            return f"command {name}"
        command = found
    known = {
        text
        for parameter in command.params
        for text in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"-h", "--help", "--version"}
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("-") and option not in known and not re.match(r"-\d", option):
            return f"option {option} of {command.name}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_commands_exist(document: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    wrong = []
    for program, text in commands_of(document):
        words = [word.strip("[]()") for word in shlex.split(text.replace("'", '"'), comments=True)]
        words = [word for word in words if word and word not in NOT_OPTIONS]
        if program == "make":
            named = [word for word in words if re.fullmatch(r"[a-z0-9-]+", word)]
            problem = next((f"target {word}" for word in named if word not in targets), None)
        else:
            problem = unknown(words)
        if problem:
            wrong.append(f"{program} {text}: unknown {problem}")
    assert wrong == []


def test_the_documents_have_commands() -> None:
    assert sum(1 for page in DOCUMENTS for _ in commands_of(page)) > 100


def test_a_command_that_does_not_exist_is_found() -> None:
    assert unknown(["bactest"]) == "command bactest"
    assert unknown(["backtest", "--dta", "x"]) == "option --dta of backtest"
    assert unknown(["soak", "feed", "--seeds", "5"]) is None
