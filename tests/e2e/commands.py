"""The command line, as a person uses it on the machine of a stack."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.stack import ROOT, Stack


def claire(
    stack: Stack, *arguments: str, folder: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """A command, run to its end."""
    environment = os.environ | stack.command_environment | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def figures(stack: Stack, *arguments: str, exit_code: int = 0) -> Any:
    """The JSON object that a command prints, which ends with an exit code."""
    done = claire(stack, *arguments, "--on", "compose", "--json")
    assert done.returncode == exit_code, (
        f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return json.loads(done.stdout.splitlines()[-1])
