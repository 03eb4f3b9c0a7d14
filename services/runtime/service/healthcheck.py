"""Exit 0 if this container's service is healthy, else 1: the containers' health check.

Runs every few seconds in every container, so it imports next to nothing, and no site packages
(`python -S`). Asks /health on the port that the service itself would choose: HTTP_PORT, or the
default port of the service named as the only argument or in CDB_SERVICE.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from services.runtime.settings.http_ports import HTTP_PORTS

TIMEOUT_S = 3.0
MOST_BYTES = 8192
SERVICE_VARIABLE = "CDB_SERVICE"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Ask, and say on stdout what was answered; that is what ``docker inspect`` shows."""
    service = arguments[0] if arguments else environ.get(SERVICE_VARIABLE, "")
    text = environ.get("HTTP_PORT") or str(HTTP_PORTS.get(service, ""))
    if not text.isdigit():
        sys.stdout.write(
            f"no port to ask: HTTP_PORT={text!r}, service {service!r}; set HTTP_PORT,"
            f" or name one of {', '.join(sorted(HTTP_PORTS))}\n"
        )
        return 1
    return ask(int(text))


def ask(port: int, host: str = "127.0.0.1") -> int:
    """0 if the service on this port says that it is healthy, else 1."""
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                head, _, body = answer.read(MOST_BYTES).partition(b"\r\n\r\n")
    except OSError as error:
        sys.stdout.write(f"no answer from {host}:{port}: {error}\n")
        return 1
    sys.stdout.write(f"{body.decode('utf-8', 'replace').strip() or 'no HTTP answer'}\n")
    return 0 if head.split(b" ", 2)[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
