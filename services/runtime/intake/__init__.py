"""Messages from outside: normalise, check, refuse."""
