"""Log lines: one JSON object each on stdout, in UTC and ASCII, never with a secret in it."""

import json
import logging
import logging.config
import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

import structlog

from services.kernel.settings.model import SettingError

CONFIG_VARIABLE = "CDB_LOGGING_CONFIG"
DEFAULT_CONFIG = Path(__file__).parents[3] / "backoffice" / "logging_config.json"
HIDDEN = "********"

_service = ""
_secrets: tuple[str, ...] = ()


def configure(service: str, level: str, secrets: Iterable[str] = ()) -> None:
    """Set up structlog and the standard library's logging alike.

    Args:
        service: Added to every line.
        level: Least severity that is written, of our own and of others' loggers.
        secrets: Texts that are replaced wherever they turn up in a line.

    Raises:
        SettingError: The shared configuration file cannot be used.
    """
    global _service, _secrets  # noqa: PLW0603 - logging is one per process by its nature
    _service = service
    written = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
    _secrets = tuple(sorted(filter(None, written), key=len, reverse=True))
    path = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        config["root"]["level"] = level
        logging.config.dictConfig(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{CONFIG_VARIABLE}={path} is not a usable logging configuration"
            f" ({type(error).__name__}: {error}); remove the variable or mend the file"
        ) from error
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def json_formatter() -> structlog.stdlib.ProcessorFormatter:
    """The formatter that ``logging_config.json`` names."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=True, default=str),
            _hide_secrets,
        ],
    )


def _shared_processors() -> list[Any]:
    return [
        _add_service,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _add_service(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["service"] = _service
    return event


def _hide_secrets(_logger: Any, _method: str, line: Any) -> str:
    for secret in _secrets:
        if secret in line:
            line = line.replace(secret, HIDDEN)
    return str(line)
