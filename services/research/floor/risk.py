"""`python -m services.research.floor.risk`: a pass-through in the place of cdb_risk."""

import sys

from services.research.floor.stages import main

if __name__ == "__main__":
    sys.exit(main("cdb_risk"))
