import json
import logging as standard_logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.kernel.settings.model import SettingError
from services.runtime.service import logging

pytestmark = pytest.mark.unit

HIDDEN = 'pa"ssword'


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = standard_logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_line_is_one_json_object_in_ascii(capsys: pytest.CaptureFixture[str]):
    logging.configure("cdb_test", "INFO")

    logging.get("a.module").info("happened", price="1.5", name="Größe\nzwei")

    text = capsys.readouterr().out
    assert text.isascii()
    assert len(text.splitlines()) == 1
    line = json.loads(text)
    assert (
        line.items()
        >= {
            "event": "happened",
            "service": "cdb_test",
            "logger": "a.module",
            "level": "info",
            "price": "1.5",
            "name": "Größe\nzwei",
        }.items()
    )
    assert line["timestamp"].endswith("Z")


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]):
    logging.configure("cdb_test", "INFO")
    standard_logging.getLogger("library").warning("%d things", 3)
    assert lines(capsys)[0].items() >= {"event": "3 things", "service": "cdb_test"}.items()


def test_secrets_are_hidden_even_in_tracebacks(capsys: pytest.CaptureFixture[str]):
    logging.configure("cdb_test", "INFO", [HIDDEN, ""])
    log = logging.get("a.module")

    log.info("login", password=HIDDEN)
    try:
        int(HIDDEN)
    except ValueError:
        log.exception("failed")

    out = capsys.readouterr().out
    assert json.dumps(HIDDEN)[1:-1] not in out
    assert "invalid literal for int()" in out
    assert len(out.splitlines()) == 2


def test_the_level_counts(capsys: pytest.CaptureFixture[str]):
    logging.configure("cdb_test", "WARNING")
    log = logging.get("a.module")
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_an_unusable_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = tmp_path / "logging.json"
    broken.write_text("{", encoding="utf-8")
    monkeypatch.setenv("CDB_LOGGING_CONFIG", str(broken))
    with pytest.raises(SettingError, match="CDB_LOGGING_CONFIG="):
        logging.configure("cdb_test", "INFO")
