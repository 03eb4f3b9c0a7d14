"""The verb doctor: what this machine lacks, found before it hurts, each with its remedy."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import click
from rich.table import Table
from rich.text import Text

from services import __version__
from services.cli.failure import Failure
from services.cli.json_option import json_option
from services.cli.operate import env_file_check
from services.cli.target import CONSOLE_PORT, INTERNAL, environment_values
from services.cli.terminal import say, wide_console
from services.kernel.settings.model import SettingError
from services.runtime.embedded.binaries import (
    NoServerBinaryError,
    postgres_programs,
    redis_program,
)
from services.runtime.embedded.home import Home
from services.runtime.settings import model as runtime_settings
from services.runtime.settings.http_ports import HTTP_PORTS
from services.runtime.settings.secrets import GENERATED

LEAST_FREE_BYTES = 2 * 1024**3
LARGEST_CLOCK_OFFSET_SECONDS = 2.0
OLDEST_BACKUP_DAYS = 2
DOCKER_SECONDS = 10
INFRASTRUCTURE_PORTS = {"REDIS": 6379, "POSTGRES": 5432, "PROMETHEUS": 19090, "GRAFANA": 3000}

Verdict = Literal["ok", "warning", "failed"]
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        verdict: Only `failed` keeps the system from running.
        found: What is there.
        remedy: What to do; empty when nothing.
    """

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


@click.command(epilog="Example: claire doctor --json")
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check Python, servers, Docker, ports, disk, clock and settings."""
    findings = [finding for check in CHECKS for finding in check()]
    healthy = all(finding.verdict != "failed" for finding in findings)
    if as_json:
        body = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
        say(json.dumps(body))
    else:
        table = Table()
        console = wide_console()
        for heading in ("check", "verdict", "found", "what to do"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            verdict = Text(finding.verdict, style=_COLOURS[finding.verdict])
            table.add_row(finding.check, verdict, finding.found, finding.remedy)
        console.print(table)
    ctx.exit(0 if healthy else 1)


def check_program() -> list[Finding]:
    """Version of Python and of this program."""
    return [Finding("program", "ok", f"Python {sys.version.split()[0]}, claire {__version__}")]


def check_servers() -> list[Finding]:
    """The servers that `claire run-paper` starts."""
    findings = []
    for name, find in (("Redis or Valkey", redis_program), ("PostgreSQL", _postgres_folder)):
        try:
            findings.append(Finding(f"embedded {name}", "ok", str(find())))
        except NoServerBinaryError as error:
            findings.append(Finding(f"embedded {name}", "warning", "none", str(error)))
    return findings


def _postgres_folder() -> str:
    programs = postgres_programs()
    return f"{programs.base / programs.bin} (version {programs.major})"


def check_docker() -> list[Finding]:
    """Docker's command, engine and Compose, and the engine's clock (it drifts after sleep)."""
    docker = shutil.which("docker")
    if docker is None:
        remedy = "only for `claire up`: install Docker Desktop or Docker Engine"
        return [Finding("docker", "warning", "not on the PATH", remedy)]
    engine = _output(docker, "info", "--format", "{{.ServerVersion}} {{.SystemTime}}")
    if engine is None:
        return [
            Finding("docker", "warning", "no engine answers", "start Docker Desktop or dockerd")
        ]
    version, _, system_time = engine.partition(" ")
    compose = _output(docker, "compose", "version", "--short")
    findings = [Finding("docker", "ok", f"engine {version}")]
    if compose is None:
        remedy = "install the Compose plugin, version 2"
        findings.append(Finding("docker compose", "warning", "missing", remedy))
    else:
        findings.append(Finding("docker compose", "ok", compose))
    return [*findings, _clock_finding(system_time)]


def _clock_finding(system_time: str) -> Finding:
    try:
        # Go prints nanoseconds, Python reads microseconds.
        engine_time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", system_time))
        offset = abs(engine_time.timestamp() - time.time())
    except ValueError:
        return Finding("docker clock", "warning", system_time, "cannot be read")
    found = f"within {offset:.0f} s of this machine's"
    if offset > LARGEST_CLOCK_OFFSET_SECONDS:
        return Finding("docker clock", "failed", found, "restart Docker Desktop (wsl --shutdown)")
    return Finding("docker clock", "ok", found)


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own fixed commands
            command, capture_output=True, text=True, timeout=DOCKER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def check_ports() -> list[Finding]:
    """The host ports of the compose stack."""
    values = environment_values()
    services = {
        name.removeprefix("cdb_").upper(): port
        for name, port in HTTP_PORTS.items()
        if name not in INTERNAL
    } | {"PAPER_RUNNER": CONSOLE_PORT}
    taken = [
        f"{port} ({variable})"
        for variable, port in _host_ports(values, INFRASTRUCTURE_PORTS | services).items()
        if _is_taken(port)
    ]
    if not taken:
        return [Finding("ports of the stack", "ok", "all free")]
    remedy = "fine if it is the stack itself; else set the variable in .env to a free port"
    return [Finding("ports of the stack", "warning", "in use: " + ", ".join(taken), remedy)]


def _host_ports(values: Mapping[str, str], defaults: Mapping[str, int]) -> dict[str, int]:
    ports = {}
    for name, port in defaults.items():
        variable = f"{name}_HOST_PORT"
        text = values.get(variable, "")
        ports[variable] = int(text) if text.isdigit() else port
    return ports


def _is_taken(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def check_home() -> list[Finding]:
    """The folder of embedded runs: writable, with space."""
    folder = Home.from_environment(os.environ).folder
    existing = next(part for part in (folder, *folder.parents) if part.exists())
    if not os.access(existing, os.W_OK):
        remedy = "set CLAIRE_HOME to a folder that you may write"
        return [Finding("home", "failed", f"{folder} is not writable", remedy)]
    free = shutil.disk_usage(existing).free
    found = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return [Finding("home", "failed", found, "free at least 2 GiB, or set CLAIRE_HOME")]
    return [Finding("home", "ok", found)]


def check_settings() -> list[Finding]:
    """Whether the settings can be used, and the passwords of the stack are there."""
    try:
        settings = runtime_settings.load()
        values = environment_values()
    except (SettingError, Failure) as error:
        return [Finding("settings", "failed", str(error), "mend .env or the environment")]
    fatal = any(found.fatal for found in settings.inconsistencies)
    findings = [
        Finding("settings", "failed" if fatal else "warning", line) for line in settings.warnings
    ]
    missing = [name for name in GENERATED if name not in values]
    if not Path(".env").exists():
        findings.append(Finding(".env", "warning", "missing", "only for `claire up`: claire init"))
    elif missing:
        findings.append(Finding(".env", "warning", f"lacks {', '.join(missing)}", "claire init"))
    return findings or [Finding("settings", "ok", "all usable, all passwords there")]


def check_env_file() -> list[Finding]:
    """Names given twice and weak passwords in .env."""
    path = Path(os.environ.get("CDB_ENV_FILE") or ".env")
    if not path.exists():
        return []
    try:
        found = env_file_check.problems(path)
    except (OSError, UnicodeDecodeError) as error:
        remedy = "make it a text file in UTF-8 that you may read"
        return [Finding(".env", "failed", f"{path} cannot be read: {error}", remedy)]
    return [Finding(".env", "warning", text, remedy) for text, remedy in found]


def check_backups() -> list[Finding]:
    """The age of the newest backup; nothing to say before there is a stack."""
    if not Path(".env").exists():
        return []
    try:
        folder = Path(environment_values().get("CDB_BACKUP_DIR") or "backups")
    except Failure:
        return []  # what is wrong with the settings is found by `check_settings`
    written = [file.stat().st_mtime for file in folder.glob("*.dump") if file.stat().st_size]
    if not written:
        return [Finding("backup", "warning", f"none in {folder}", "make backup")]
    days = (time.time() - max(written)) / 86_400
    verdict: Verdict = "warning" if days > OLDEST_BACKUP_DAYS else "ok"
    found = f"the newest in {folder} is {days:.1f} days old"
    return [Finding("backup", verdict, found, "make backup" if verdict == "warning" else "")]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_program,
    check_servers,
    check_docker,
    check_ports,
    check_home,
    check_settings,
    check_env_file,
    check_backups,
)
