"""`python -m services.cdb_paper_runner`."""

import sys

from services.cdb_paper_runner.service import main

if __name__ == "__main__":
    sys.exit(main())
