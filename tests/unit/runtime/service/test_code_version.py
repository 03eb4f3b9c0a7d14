from pathlib import Path

import pytest

from services import __version__
from services.runtime.service.code_version import code_version, digest_of

pytestmark = pytest.mark.unit


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def test_it_names_version_and_kernel():
    assert code_version().startswith(f"{__version__}+kernel.")


def test_equal_source_has_an_equal_digest_also_with_other_line_ends(tmp_path: Path):
    one = tree(tmp_path / "one", {"a.py": "x = 1\n", "b/c.py": "y = 2\n", "note.txt": "1"})
    two = tree(tmp_path / "two", {"a.py": "x = 1\r\n", "b/c.py": "y = 2\r\n", "note.txt": "2"})
    assert digest_of(one) == digest_of(two)


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "x = 2\n", "b.py": "y = 2\n"},
        {"a.py": "x = 1\n", "c.py": "y = 2\n"},
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\ny", "b.py": " = 2\n"},
    ],
)
def test_any_change_shows(tmp_path: Path, files: dict[str, str]):
    before = tree(tmp_path / "before", {"a.py": "x = 1\n", "b.py": "y = 2\n"})
    assert digest_of(tree(tmp_path / "after", files)) != digest_of(before)
