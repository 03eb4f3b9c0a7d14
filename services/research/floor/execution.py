"""`python -m services.research.floor.execution`: a pass-through in the place of cdb_execution."""

import sys

from services.research.floor.stages import main

if __name__ == "__main__":
    sys.exit(main("cdb_execution"))
