"""The shell that every service runs in: settings, logging, signals, HTTP, and trying again."""

import gc
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from flask import Blueprint

from services.kernel.settings.model import SettingError
from services.runtime import host
from services.runtime.bus.bus import Bus, Refused, ReplyError, Unavailable
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
)
from services.runtime.service import logging
from services.runtime.service.health import Health
from services.runtime.service.http import HttpServer, create_app
from services.runtime.service.lifecycle import Lifecycle
from services.runtime.service.metrics import ServiceMetrics
from services.runtime.settings.model import Settings, load

EXIT_REFUSED = 1
"""Something that only a person can change; one line says what. Starting again does not help."""
EXIT_CRASHED = 70
"""A defect; the log has the traceback. Starting again may help."""
NEW_OBJECTS = 100_000
"""New containers after which Python looks for cycles. With its own 700, books of 40 levels make it
look every few frames, and that took a sixth of the feed's time; events hold no cycles."""

_log = logging.get(__name__)


class Worker(Protocol):
    """What a service does, as its shell sees it."""

    def run(self, stopping: host.Event) -> None:
        """Work until ``stopping`` is set, or until there is nothing left to do.

        Calls ``shell.lifecycle.working()`` once it does its job: until then /health is red. When
        it raises that something it needs is away, it is called again after a while.
        """

    def health(self) -> Health:
        """Measure whether the job can be done now; called from the HTTP threads."""

    def status(self) -> dict[str, object]:
        """Its state, JSON-able, without secrets; called from the HTTP threads."""


PASSING = (
    *(Unavailable, ReplyError, DatabaseAwayError, DatabaseRefusedError),
    *(JournalTrimmed, Refused, SettingError),
)
"""What a worker may raise; everything else is a defect."""

W = TypeVar("W", bound=Worker)


class Shell:
    """What a service is built from.

    Attributes:
        service: Its name.
        settings: Read and checked.
        metrics: What /metrics shows.
        lifecycle: Says when to stop, and is reported what is waited for.
    """

    def __init__(self, service: str, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.metrics = ServiceMetrics(service)
        self.lifecycle = Lifecycle()

    def new_bus(self) -> Bus:
        """The bus as this service; nothing connects yet."""
        bus = Bus(self.redis_address(self.service), self.service)
        bus.on_published = self.metrics.count
        return bus

    def redis_address(self, user: str) -> RedisAddress:
        """The bus as one of its users; a simulation answers with its own."""
        return self.settings.redis_address(user)

    def database_address(self, role: str) -> DatabaseAddress:
        """The database as one of its roles; a simulation answers with its own."""
        return self.settings.database_address(role)

    def health(self, worker: Worker) -> Health:
        """The worker's health, and what is waited for."""
        found = worker.health()
        waiting_for = self.lifecycle.waiting_for
        if waiting_for is None or waiting_for in found.reasons:
            return found
        return Health((waiting_for, *found.reasons), found.measured)

    def status(self, worker: Worker) -> dict[str, object]:
        """The worker's state and the effective settings."""
        settings = self.settings
        return {
            "waiting_for": self.lifecycle.waiting_for,
            **worker.status(),
            "settings": settings.effective(),
            "setting_warnings": list(settings.warnings),
        }


def run(
    service: str,
    build: Callable[[Shell], W],
    *,
    pages: Callable[[W], Blueprint] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run a service until SIGTERM.

    Args:
        service: Its name.
        build: Makes the worker; connects to nothing.
        pages: Makes further pages beside /health, /status and /metrics.
        environ: Instead of the process environment.

    Returns:
        The exit code: 0, `EXIT_REFUSED` after one line on stderr, or `EXIT_CRASHED`.
    """
    try:
        settings = load(service, environ=environ)
        logging.configure(service, settings.log_level, settings.secrets())
        shell = Shell(service, settings)
        shell.lifecycle.install_signals()
        worker = build(shell)
        app = create_app(
            service,
            health=lambda: shell.health(worker),
            status=lambda: shell.status(worker),
            registry=shell.metrics.registry,
            pages=pages(worker) if pages is not None else None,
        )
        server = HttpServer(app, settings.http_host, settings.port)
    except SettingError as error:
        return _refuse(service, error)
    try:
        gc.freeze()  # what the start made stays; looking through it again would cost milliseconds
        gc.set_threshold(NEW_OBJECTS)
        gc.enable()
        _log.info("started", port=server.port, source=settings.cdb_source)
        for warning in settings.warnings:
            _log.warning("setting", message=warning)
        return supervise(shell, worker)
    except SettingError as error:
        return _refuse(service, error)
    except Refused as refused:
        return _refuse(service, f"{refused}: another instance runs; stop one of them")
    finally:
        server.close()
        shell.lifecycle.ended()


def supervise(shell: Shell, worker: Worker) -> int:
    """Run a worker until the shell is asked to stop, again after everything that passes.

    Raises:
        Refused: ``FENCED``: another instance runs.
        SettingError: Only a person can change it.
    """
    lifecycle = shell.lifecycle
    while not lifecycle.stopping.is_set():
        try:
            worker.run(lifecycle.stopping)
            lifecycle.stopping.wait()  # nothing left to do, but /health still reports
        except (Unavailable, ReplyError, DatabaseAwayError, DatabaseRefusedError) as away:
            lifecycle.wait_before_retry(str(away))
        except JournalTrimmed as lost:
            lifecycle.wait_before_retry(f"{lost}; this service cannot continue without them")
        except Refused as refused:
            if refused.reason == "FENCED":
                raise
            lifecycle.wait_before_retry(str(refused))
        except SettingError:
            raise
        except Exception:
            _log.exception("crashed")
            return EXIT_CRASHED
    _log.info("stopped")
    return 0


def _refuse(service: str, why: object) -> int:
    sys.stderr.write(f"{service}: {' '.join(str(why).split())}\n")
    return EXIT_REFUSED
