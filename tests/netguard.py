"""Keeps the tests on this machine: a socket that binds, connects or sends to anything but loopback, or looks a foreign
name up, is refused, and the test that was running fails even when the code under test swallowed the refusal.

A pytest plugin that `tests/conftest.py` loads. The guard is an audit hook, so it sees every socket of this process,
whichever library and thread opened it. It can't see child processes. Local sockets (AF_UNIX) are free.
"""

import ipaddress
import socket
import sys
from collections.abc import Iterator

import pytest

_HOST_ARGUMENT = {
    "socket.connect": 1,
    "socket.bind": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}
_attempts: list[str] = []


class NonLoopbackSocketError(RuntimeError):
    """A test tried to leave this machine. Use a server on 127.0.0.1 instead."""


def _is_loopback(host: object) -> bool:
    if host is None:  # getaddrinfo(None, port): this machine
        return True
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return True  # refused by the socket itself
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    position = _HOST_ARGUMENT.get(event)
    if position is None:
        return
    where = arguments[position]
    if position == 1:
        sock = arguments[0]
        family = getattr(sock, "family", None)
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(where, tuple) or not where:
            return
        where = where[0]
    if not _is_loopback(where):
        attempt = f"{event} to {where!r}"
        _attempts.append(attempt)
        raise NonLoopbackSocketError(f"{attempt}: tests stay on loopback, use a server on 127.0.0.1")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[list[str]]:
    """Fails the test that tried to leave this machine. Gives the attempts so far, for a test that makes one on purpose
    and clears the list."""
    yield _attempts
    attempts = ", ".join(_attempts)
    _attempts.clear()
    assert not attempts, f"the test tried to leave this machine: {attempts}"
