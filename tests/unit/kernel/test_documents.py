"""The generated documentation is what the kernel says."""

import re
from pathlib import Path

import pytest

from backoffice.scripts import generate_docs
from services.kernel.events import OrderStatus
from services.kernel.reasons import REASONS, Reason
from services.kernel.settings.parameters import ALL_SPECS

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


def test_what_paper_does_not_model_is_told_in_words_that_the_program_knows() -> None:
    page = (generate_docs.DOCS / "PAPER_FIDELITY.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", page))
    known = {spec.name for spec in ALL_SPECS} | set(Reason) | set(OrderStatus)

    assert {"SIM_LATENCY_MS", "SIM_IMPACT_PCT", "MAX_SLIPPAGE_PCT"} <= words
    assert words <= known
    unmodelled = page.split("## What is not modelled")[1].split("##")[0]
    rows = [line for line in unmodelled.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert {row.rstrip(" |").rsplit("|", 1)[1].strip() for row in rows} == {
        *("for", "against", "either"),
    }
