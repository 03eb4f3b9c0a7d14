"""Nothing that an event carries can command the terminal."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from services.cli.terminal import SafeConsole, say
from services.explain.event_line import describe
from services.explain.narration import narrate
from services.explain.printable import one_line, printable, printable_json
from tests import builders

pytestmark = pytest.mark.unit

CLI = Path(__file__).parents[3] / "services" / "cli"
OSC = "\x1b]52;c;ZXZpbA==\x07"  # writes into the clipboard
ATTACKS = (
    OSC,
    "\x1b[2J\x1b[H",  # clears the screen
    "\x9d0;title\x9c",  # the same family in one byte
    "all is well\rHALTED",  # covers what stands in the line
    "\x08\x08\x08ok",
    "\x00\x7f",
    "\u202egpj.exe",  # reads backwards
    "line\u2028other line",
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_control_character_is_left_in_what_is_said(
    attack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(f"before {attack} behind")
    say(attack, err=True)

    out, err = capsys.readouterr()
    assert not CONTROL.search(out + err)
    assert out.startswith("before ")
    assert out.endswith(" behind\n")


def test_lines_tabs_and_letters_stay_as_they_are() -> None:
    text = "a\tb\nÄ Ω 漢字 €\n"
    assert printable(text) == text
    assert one_line(text) == "a b Ä Ω 漢字 € "


@pytest.mark.parametrize("attack", ATTACKS)
def test_tables_and_trees_show_our_styles_and_none_of_an_event_s_codes(attack: str) -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=200, color_system="truecolor")
    table = Table(title=f"title {attack}")
    table.add_column(f"heading {attack}")
    table.add_row(f"cell {attack}")
    tree = Tree(Text(f"root {attack}", style="bold"))
    tree.add(f"[red]{attack}[/nothing]")

    console.print(table)
    console.print(tree)
    console.print(f"plain {attack}", style="yellow")

    shown = re.sub("\x1b\\[[0-9;]*m", "", file.getvalue())  # our colours
    assert not CONTROL.search(shown)
    assert "[red]" in shown, "an event's square brackets are no markup"


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_event_is_one_line_whatever_it_carries(attack: str) -> None:
    line = describe(builders.halt(f"{attack}\n2026-01-01 alerts: all is well"))

    assert not CONTROL.search(line)
    assert "\n" not in line


def test_the_story_of_an_event_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    title, lines = narrate(builders.condition())
    say("\n".join([title + OSC, *lines]))

    assert not CONTROL.search(capsys.readouterr().out)


def test_json_from_the_bus_stays_the_same_value_without_control_characters() -> None:
    reason = "a\x7f\x9d\u202eb"
    shown = printable_json(json.dumps({"reason": reason}, ensure_ascii=False).encode())

    assert not CONTROL.search(shown)
    assert json.loads(shown) == {"reason": reason}
    assert "\n" not in printable_json(b"no json\n\x1b[2J")


def test_every_command_prints_through_the_one_function() -> None:
    ways_around = re.compile(
        r"click\.s?echo\(|(?<![\w.])print\(|(?<!Safe)\bConsole\(|sys\.stdout\.write"
    )
    found = {
        f"{path.relative_to(CLI)}:{number}"
        for path in CLI.rglob("*.py")
        if path.name != "terminal.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if ways_around.search(line)
    }
    assert found == set()
