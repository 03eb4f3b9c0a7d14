"""What the verbs of ``claire data`` share: options, the folder of data sets, the progress bar."""

import os
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.terminal import SafeConsole
from services.runtime.embedded.home import Home

FOLDER = click.Path(path_type=Path, file_okay=False)
TO = click.option(
    "--to", "folder", type=FOLDER, help="Folder of data sets.  [default: in CLAIRE_HOME]"
)


def data_folder() -> Path:
    """Where data sets go: ``data`` in CLAIRE_HOME."""
    return Home.from_environment(os.environ).folder / "data"


def recordings_folder() -> Path:
    """Where recordings go: ``recordings`` in CLAIRE_HOME."""
    return Home.from_environment(os.environ).folder / "recordings"


def progress_bar() -> Progress:
    """A bar on standard error, so that standard output stays the result."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=SafeConsole(stderr=True),
    )
