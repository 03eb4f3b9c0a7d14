"""The venue's recorded frames and bodies, byte for byte, where they are at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest


def recorded(name: str) -> list[tuple[dict[str, Any], str]]:
    """The entries of a file of samples, and the exact text of their messages.

    Skips the test where the samples are not at hand.
    """
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA is unset: set it to the folder of the recorded data")
    path = Path(folder).parent / "mexc" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there: CDB_TEST_DATA's sibling mexc holds the recorded frames")
    decoder, found = json.JSONDecoder(), []
    for line in path.read_text().splitlines():
        start = line.index('"message":') + len('"message":')
        _, end = decoder.raw_decode(line, start)
        found.append((json.loads(line), line[start:end]))
    return found
