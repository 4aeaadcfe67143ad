"""How a connection reaches its hosts: proxy, certificates, time-outs, what is allowed. No HTTP library is loaded by this."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from urllib.request import getproxies

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

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, each.name) for each in fields(self)))

    def __hash__(self) -> int:
        """Worked out once: a client is looked up by its route for every request."""
        return self._hash

    def without_identity(self) -> "Route":
        """For another origin than the one that the client certificate is meant for."""
        return replace(self, client_cert=None, client_key=None, client_key_password=None)


def proxies(route: Route) -> dict[str, str | None]:
    """Patterns as httpx reads them (`all://*example.com`) and the proxy's URL. None, for this machine's own addresses too: no proxy."""
    found: dict[str, str | None] = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))
    if route.proxy is not None:
        return found | {"all://": route.proxy.reveal()}
    told = getproxies() if route.trust_env else {}
    hosts = [host for part in told.get("no", "").split(",") if (host := part.strip())]
    if "*" in hosts:
        return {}
    for scheme in ("http", "https", "all"):
        if url := told.get(scheme):
            found[f"{scheme}://"] = url if "://" in url else f"http://{url}"
    for host in hosts:
        exact = host.startswith("[") or host.replace(".", "").isdigit() or host.lower() == "localhost"
        found[host if "://" in host else f"all://{host}" if exact else f"all://*{host}"] = None
    return found
