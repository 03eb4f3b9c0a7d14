"""The library of functions says the same as the tables that it cannot read."""

import hashlib
import re
from pathlib import Path

import pytest

from services.kernel.events import topics
from services.runtime.bus.redis import functions

pytestmark = pytest.mark.unit

TEXT = functions.FILE.read_text("utf-8")
STARTER = Path(__file__).parents[4] / "backoffice" / "scripts" / "redis-start.sh"


def table(name: str) -> str:
    match = re.search(rf"^local {name} = {{(.*?)}}$", TEXT, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1]


def test_it_knows_the_services_and_their_order() -> None:
    assert tuple(re.findall(r"'(\w+)'", table("SERVICES"))) == topics.SERVICES
    assert tuple(re.findall(r"'(\w+)'", table("STAGE_ORDER"))) == topics.STAGE_ORDER


def test_it_knows_which_topics_have_several_producers() -> None:
    produced = [topic for name in topics.SERVICES for topic in topics.PRODUCES[name]]
    shared = {topic for topic in produced if produced.count(topic) > 1}
    assert set(re.findall(r"(\w+) = true", table("SHARED"))) == shared


def test_both_starters_load_the_same_and_say_which() -> None:
    assert functions.digest() == hashlib.sha1(functions.FILE.read_bytes()).hexdigest()  # noqa: S324
    assert functions.library().startswith(TEXT)
    script = STARTER.read_text("utf-8")
    for part in ("sha1sum", f"function_name='{functions.DIGEST}'", "function load replace"):
        assert part in script
    assert script.index("function load replace") < script.index("acl load\n")
