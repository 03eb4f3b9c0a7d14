"""Health of a container whose port is internal to its network, as Docker's health check saw it."""

import json
import shutil
import subprocess
from typing import Any, Final

TIMEOUT_S: Final = 5.0


def container_health(container: str) -> dict[str, Any]:
    """What a service's own health check answered last, in the container of that name.

    Returns:
        As of a service that was asked itself; ``healthy`` is None where Docker cannot be asked.
    """
    address = f"docker:{container}"
    docker = shutil.which("docker")
    if docker is None:
        return _unknown(address, "its port is internal, and docker is not on the PATH")
    command = [docker, "inspect", "--type", "container", "--format", "{{json .State}}", container]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _unknown(address, f"docker does not answer: {error}")
    if done.returncode != 0:
        said = done.stderr.strip()
        if "no such" in said.lower():
            return _red(address, f"no container is named {container}")
        return _unknown(address, said or f"docker inspect failed with code {done.returncode}")
    return seen(address, json.loads(done.stdout))


def seen(address: str, state: dict[str, Any]) -> dict[str, Any]:
    """The entry for a container's ``State``, as ``docker inspect`` has it."""
    if not state.get("Running"):
        return _red(address, f"the container is {state.get('Status')}, not running")
    check = state.get("Health") or {}
    answers = check.get("Log") or [{}]
    text = str(answers[-1].get("Output", "")).strip()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    body = answer if isinstance(answer, dict) else {"reason": text or "not checked yet"}
    healthy = check.get("Status") == "healthy"
    if not healthy and not body.get("reason"):
        body = body | {"reason": f"its health check is {check.get('Status', 'missing')}"}
    return {"url": address, "healthy": healthy, "health": body, "status": None}


def _red(address: str, reason: str) -> dict[str, Any]:
    return {"url": address, "healthy": False, "health": {"reason": reason}, "status": None}


def _unknown(address: str, reason: str) -> dict[str, Any]:
    return {"url": address, "healthy": None, "health": {"reason": reason}, "status": None}
