"""``python -m services.cdb_ws``: run the service until SIGTERM."""

import sys

from services.cdb_ws.service import main

if __name__ == "__main__":
    sys.exit(main())
