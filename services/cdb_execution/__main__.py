"""`python -m services.cdb_execution`."""

import sys

from services.cdb_execution.service import main

if __name__ == "__main__":
    sys.exit(main())
