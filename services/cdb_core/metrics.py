"""The metrics of ``cdb_core``."""

from typing import Final

from services.cdb_core.config import SERVICE
from services.runtime.consumer.stage_metrics import STAGE
from services.runtime.service.metrics import shell_metrics

METRICS: Final = (*shell_metrics(SERVICE), *STAGE)
