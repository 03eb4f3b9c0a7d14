"""`python -m services.cdb_db_writer`."""

import sys

from services.cdb_db_writer.service import main

if __name__ == "__main__":
    sys.exit(main())
