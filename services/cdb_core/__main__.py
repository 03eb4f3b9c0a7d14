"""`python -m services.cdb_core`."""

import sys

from services.cdb_core.service import main

if __name__ == "__main__":
    sys.exit(main())
