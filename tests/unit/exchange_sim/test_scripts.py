"""Scripts of faults: read from a file, made from a seed."""

from pathlib import Path

import pytest

from services.exchange_sim.faults.faults import (
    MEANING,
    QUIET_SHARE,
    Fault,
    FaultKind,
    Script,
    ScriptError,
    read_script,
    script_from_seed,
    write_script,
)

pytestmark = pytest.mark.unit

SYMBOLS = ("BTC_USDT", "ETH_USDT")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    script = script_from_seed(3, 600, SYMBOLS, most=30)
    path = tmp_path / "faults.json"
    path.write_text(write_script(script), "utf-8")

    assert read_script(path) == script


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"faults": [{"kind": "earthquake"}]}', "earthquake"),
        ('{"faults": [{"kind": "drop", "when": 3}]}', "when"),
        ('{"faults": [{"kind": "drop", "at_s": -1}]}', "at_s is -1.0"),
        ('{"faults": [{"kind": "silence", "for_s": "long"}]}', "for_s"),
        ("[]", "object"),
        ("{", "truncated"),
    ],
)
def test_an_unusable_script_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text, "utf-8")

    with pytest.raises(ScriptError, match=why) as error:
        read_script(path)
    assert str(path) in str(error.value)


def test_a_missing_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="No such file"):
        read_script(tmp_path / "nothing.json")


def test_a_seed_gives_one_script() -> None:
    assert script_from_seed(5, 600, SYMBOLS) == script_from_seed(5, 600, SYMBOLS)
    assert script_from_seed(5, 600, SYMBOLS) != script_from_seed(6, 600, SYMBOLS)


def test_the_seeds_together_have_every_fault_and_leave_the_end_quiet() -> None:
    scripts = [script_from_seed(seed, 600, SYMBOLS) for seed in range(200)]

    faults = [fault for script in scripts for fault in script.faults]
    assert {fault.kind for fault in faults} == set(FaultKind) - {FaultKind.CONTRACT_CHANGED}
    assert all(script.faults for script in scripts)
    for fault in faults:
        assert fault.at_s + (fault.for_s or 0) <= 600 * (1 - QUIET_SHARE) + 0.01
        assert (fault.for_s is None) == MEANING[fault.kind].instant
        assert fault.symbol in {None, *SYMBOLS}


def test_a_fault_without_amount_has_its_kinds_default() -> None:
    assert Fault(kind=FaultKind.SLOW).size == 3_000
    assert Fault(kind=FaultKind.SLOW, amount=0).size == 0
    assert Script().faults == ()
