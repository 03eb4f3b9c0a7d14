"""The documentation builds as a site: every link leads somewhere, every page is in the menu."""

import logging
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def test_the_site_builds_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))

    with caplog.at_level(logging.WARNING, "mkdocs"):
        build(config)

    assert [record.getMessage() for record in caplog.records] == []
    start = (tmp_path / "site" / "START.html").read_text(encoding="utf-8")
    assert "make run" in start
    assert "https://fonts" not in start
