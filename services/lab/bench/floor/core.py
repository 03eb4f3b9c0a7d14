"""`python -m services.lab.bench.floor.core`: a pass-through in the place of cdb_core."""

import sys

from services.lab.bench.floor.stages import main

if __name__ == "__main__":
    sys.exit(main("cdb_core"))
