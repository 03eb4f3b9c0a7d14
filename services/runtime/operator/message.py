"""What an operator posts on the channel `operator`."""

import json


def operator_message(
    command: str, reason: str, symbol: str | None, command_id: str, issued_by: str = "operator"
) -> bytes:
    """The JSON of one command.

    Args:
        command: ``halt``, ``reset``, ``pause`` or ``resume``.
        reason: Kept in the record.
        symbol: Of ``pause`` and ``resume``; None for the account.
        command_id: A command that comes again with the same id is answered, and not repeated.
        issued_by: Who gave it, for the record.
    """
    body = {"type": command, "command_id": command_id, "reason": reason, "issued_by": issued_by}
    body |= {"symbol": symbol} if symbol else {}
    return json.dumps(body, separators=(",", ":")).encode()
