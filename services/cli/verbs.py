"""A group of commands whose modules are imported when they are asked for, and not before."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Verb(NamedTuple):
    """What the group's help says of a command, and where the command is.

    Attributes:
        module: In ``services.cli``; the command's name there has an underscore for each hyphen.
        summary: A few words; the command's own help says the rest.
    """

    module: str
    summary: str


class LazyGroup(click.Group):
    """A group that knows its commands by name.

    One command needs a fraction of what all together import; a question to the record is answered
    sooner than the benchmarks would be loaded, and the help needs none of them.

    Args:
        verbs: The commands by name, in the order of the help.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order that was given."""
        return list(self._verbs)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - as above
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name; None when there is none."""
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        module = import_module(f"services.cli.{verb.module}")
        found = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(found, click.Command), f"{module} has no command {cmd_name}"
        return found

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - as above
        formatter: click.HelpFormatter,
    ) -> None:
        """The commands and their summaries; none is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self._verbs.items()])
