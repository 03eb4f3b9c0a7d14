"""Free ports: where nobody listens, never the same twice, and not where connections begin."""

import socket
from pathlib import Path

import pytest

from services.runtime.embedded import process
from services.runtime.embedded.process import EmbeddedServerError, free_port

pytestmark = pytest.mark.unit

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_ports_are_given_out_once_and_never_those_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)
    assert min(ports) > 1024
    if OUTGOING.exists():
        assert max(ports) < int(OUTGOING.read_text().split()[0])


def test_a_port_that_is_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    following = iter([taken - process._LOWEST_PORT, taken - process._LOWEST_PORT + 1])
    monkeypatch.setattr(process, "_ports", following)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        assert free_port() == taken + 1


def test_no_free_port_is_reported_instead_of_searched_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = free_port()
    monkeypatch.setattr(process, "_LOWEST_PORT", taken)
    monkeypatch.setattr(process, "_PORTS", 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        with pytest.raises(EmbeddedServerError, match=f"no port from {taken} to {taken} is free"):
            free_port()
