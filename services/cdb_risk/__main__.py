"""`python -m services.cdb_risk`."""

import sys

from services.cdb_risk.service import main

if __name__ == "__main__":
    sys.exit(main())
