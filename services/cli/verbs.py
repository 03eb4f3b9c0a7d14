"""A group of commands whose modules are imported when they are asked for, and not before."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from services.cli.failure import Failure
from services.cli.terminal import say

LAB: Final = "services.lab"
"""What only a checkout has: the image is built without it."""


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
        sections: Titles of the help, each with its commands by name, in the order of the help.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Mapping[str, Verb]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._verbs = {name: verb for verbs in sections.values() for name, verb in verbs.items()}

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; what is wrong with it is printed in one line.

        Raises:
            SystemExit: 0 when it worked, 1 when not, 2 for wrong input.
        """
        call = partial(super().main, args, prog_name, complete_var, False, **extra)
        if not standalone_mode:
            return call()
        try:
            code: object = call()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            remedy = _help_of(error) if isinstance(error, click.UsageError) else ""
            say(f"Error: {error.format_message()}{remedy}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            say("Aborted.", err=True)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)

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
        try:
            module = import_module(f"services.cli.{verb.module}")
        except ModuleNotFoundError as missing:
            if missing.name != LAB:
                raise
            raise Failure(
                f"`claire {cmd_name}` is not in the container image:"
                " run it in a checkout (make setup)"
            ) from None
        found = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(found, click.Command), f"{module} has no command {cmd_name}"
        return found

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - as above
        formatter: click.HelpFormatter,
    ) -> None:
        """The commands and their summaries, section by section; no command is imported for it."""
        widest = max(map(len, self._verbs))
        for title, verbs in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(n.ljust(widest), v.summary) for n, v in verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called; the error for an unknown one suggests the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(
                unknown.command_name, possibilities=self._verbs, ctx=ctx
            ) from None


def _help_of(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "claire"
    return f" See '{command} --help'."
