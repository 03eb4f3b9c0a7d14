"""The generated documentation is what the kernel says."""

from pathlib import Path

import pytest

from backoffice.scripts import generate_docs
from services.kernel.risk.reasons import REASONS, Reason

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("path", generate_docs.documents(), ids=lambda path: path.name)
def test_it_is_not_stale(path: Path) -> None:
    expected = generate_docs.documents()[path]

    assert path.read_text(encoding="utf-8") == expected, f"run {generate_docs.COMMAND}"


def test_every_reason_is_documented_once() -> None:
    assert set(REASONS) == set(Reason)
    meanings = [info.meaning for info in REASONS.values()]
    assert len(meanings) == len(set(meanings))
    assert all(reason == reason.value == reason.name for reason in Reason)


def test_a_stale_file_is_named_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_docs, "DOCS", tmp_path / "docs")

    assert generate_docs.main(["--check"]) == 1
    assert "REASONS.md is stale; run" in capsys.readouterr().err
    assert generate_docs.main([]) == 0
    assert generate_docs.main(["--check"]) == 0
    assert generate_docs.stale() == []
