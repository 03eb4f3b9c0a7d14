"""Writes a small record as `claire export` does: the fixture of one schema version, kept for good.

Run it once when a version is new; a file that is there stays as it is, because later versions have
to read what earlier ones wrote:

    python -m tests.record_fixture
"""

import sys
from pathlib import Path

from services.kernel.events import SCHEMA_VERSION
from services.record.exported import export
from tests.recorded import lively_events, record_of

DATA = Path(__file__).parent / "data"
SEED = 1
STEPS = 150


def path_of(version: int) -> Path:
    """Where the record of a schema version is kept."""
    return DATA / f"record-v{version}.jsonl.gz"


def main() -> int:
    """Write the record of this program's schema, if there is none yet."""
    path = path_of(SCHEMA_VERSION)
    if path.exists():
        sys.stderr.write(f"{path} is there already; what was written once is not written again\n")
        return 1
    record = record_of(lively_events(SEED, STEPS))
    rows = export(record, record.whole(), path)
    sys.stderr.write(f"{path}: {rows} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
