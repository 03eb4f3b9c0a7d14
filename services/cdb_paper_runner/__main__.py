"""`python -m services.cdb_paper_runner`."""

import gc
import sys

gc.disable()  # what the imports make stays; `service.run` enables it again

from services.cdb_paper_runner.service import main  # noqa: E402 - only then

if __name__ == "__main__":
    sys.exit(main())
