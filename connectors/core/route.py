"""How a connection reaches its hosts: proxy, certificates, time-outs, what is allowed. No HTTP library is loaded by this."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.core.secret import Secret

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host's name and a port to its addresses, as texts, best first. Raises OSError when there are none."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The machine's own."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, kw_only=True)
class Route:
    """Equal routes share one client in each event loop, so anything that the client depends on is a field."""

    connection: str = "default"
    """Whose it is: each connection has a client of its own."""
    proxy: Secret | None = None
    """Its URL, which may hold a password. None: the environment's HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""
    trust_env: bool = True
    verify: bool = True
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: Secret | None = None
    connect_timeout: float = 10.0
    """Seconds for a new connection, TLS included."""
    max_connections: int = 1_000
    allow_private: bool = False
    """Loopback, private and carrier-NAT addresses may be reached. Link-local and metadata addresses need `allow_hosts`."""
    allow_hosts: tuple[str, ...] = ()
    """Names, `*.domain`, addresses and networks (`10.0.0.0/8`) that may be reached whatever they are."""
    resolver: Resolver = system_resolver

    def without_identity(self) -> "Route":
        """For another origin than the one that the client certificate is meant for."""
        return replace(self, client_cert=None, client_key=None, client_key_password=None)
