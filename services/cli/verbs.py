"""A group of commands whose modules are imported when they are asked for, and not before."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by name.

    One command needs a fraction of what all together import; a question to the record is answered
    sooner than the benchmarks would be loaded.

    Args:
        modules: Name of each command to the module that has it, in the order of the help. The
            command's name there has an underscore for each hyphen.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order that was given."""
        return list(self._modules)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - as above
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name; None when there is none."""
        module = self._modules.get(cmd_name)
        if module is None:
            return None
        found = getattr(import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(found, click.Command), f"{module} has no command {cmd_name}"
        return found
