"""What destroys asks first."""

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask first.")
"""For every command that destroys something."""


def confirm(question: str, *, yes: bool) -> None:
    """Ask on stderr, so that stdout stays the result; anything but "y" ends the command.

    Args:
        question: What will be destroyed.
        yes: The answer was given as an option.

    Raises:
        click.Abort: The answer is no, or there is nobody to ask.
    """
    if not yes:
        click.confirm(question, abort=True, err=True)
