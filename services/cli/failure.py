"""What ends a command early: one line that says what happened and what to do."""

import click


class Failure(click.ClickException):
    """The command could not do its job; exit code 1."""

    exit_code = 1


class BadInput(click.ClickException):
    """What the user gave cannot be used; exit code 2, as for a wrong option."""

    exit_code = 2
