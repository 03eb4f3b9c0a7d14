"""The option ``--json``, as every verb has it."""

import click

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")

last_line_json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on the last line."
)
"""For verbs that print what they do before they are done."""
