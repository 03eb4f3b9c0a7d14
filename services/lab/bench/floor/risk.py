"""`python -m services.lab.bench.floor.risk`: a pass-through in the place of cdb_risk."""

import sys

from services.lab.bench.floor.stages import main

if __name__ == "__main__":
    sys.exit(main("cdb_risk"))
