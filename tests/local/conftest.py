"""The `claire` command on the recorded markets of the folder CDB_TEST_DATA."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.claire_command import Claire, commands_in


@pytest.fixture
def claire(tmp_path: Path) -> Iterator[Claire]:
    with commands_in(tmp_path) as commands:
        yield commands


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Where the recorded market data is."""
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA names no folder with recorded market data")
    return Path(folder)
