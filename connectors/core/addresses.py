"""Which addresses a connection may reach: a request whose address comes from outside must not get at what only this machine can reach.

Pure: names are resolved elsewhere, and every address that a name stands for is judged here. Must never be asked about a name alone and then be
trusted with another look-up: what was judged is what is connected to (`transport.py`).

Sources: IANA's special-purpose registries (RFC 6890), RFC 6052 (NAT64), RFC 3056 (6to4), the WHATWG's rules for hosts that are numbers.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from connectors.core.errors import InvalidRequest

Address = IPv4Address | IPv6Address

_METADATA = frozenset(  # where clouds tell a machine its credentials
    ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"),  # AWS and most others
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),  # Alibaba, Azure, Oracle, Google
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_PRIVATE = {
    "a loopback address": ("127.0.0.0/8", "::1/128"),
    "a private address": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "an address behind a carrier's NAT": ("100.64.0.0/10",),
}
_PRIVATE_NETWORKS = tuple((ip_network(net), kind) for kind, nets in _PRIVATE.items() for net in nets)
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")


class AddressRefused(InvalidRequest):
    """The address is this machine's, its network's or a cloud's own, and the connection does not allow it. Nothing was sent there."""


AddressRefused.__module__ = "connectors.core"


def check_host(host: str, *, allow_private: bool, allow_hosts: tuple[str, ...]) -> Address | None:
    """What the host says by itself, before any look-up: its address when it is one. Raises AddressRefused."""
    host = _plain(host)
    if _is_named(host, allow_hosts):
        return _literal(host)[0]
    if host in _METADATA_NAMES or host.endswith((".metadata.google.internal", ".metadata.goog")):
        raise _refused(host, "a cloud's own metadata service", private=False)
    address, odd = _literal(host)
    if odd and not allow_private and not _is_within(address, allow_hosts):
        raise _refused(host, "an address in a notation that hides it", private=True)
    if address is not None:
        check_address(host, address, allow_private=allow_private, allow_hosts=allow_hosts)
    return address


def check_addresses(
    host: str, found: Sequence[str], *, allow_private: bool, allow_hosts: tuple[str, ...]
) -> list[Address]:
    """All that a name stands for, judged; one that is refused refuses them all. Raises AddressRefused."""
    addresses = [_unmapped(ip_address(text.partition("%")[0])) for text in found]
    if not _is_named(_plain(host), allow_hosts):
        for address in addresses:
            check_address(host, address, allow_private=allow_private, allow_hosts=allow_hosts)
    return addresses


def check_address(host: str, address: Address, *, allow_private: bool, allow_hosts: tuple[str, ...]) -> None:
    """Raises AddressRefused."""
    if _is_within(address, allow_hosts):
        return
    kind, private = kind_of(address)
    if kind and not (private and allow_private):
        raise _refused(host, kind, private=private)


@lru_cache(maxsize=4096)
def kind_of(address: Address) -> tuple[str, bool]:
    """What is special about it, "" for an ordinary public one; and whether `allow_private` is enough to reach it.

    An IPv6 address that stands for an IPv4 one is judged as that.
    """
    inner = _embedded(address)
    if inner is not None:
        return kind_of(inner)
    if address in _METADATA:
        return "a cloud's own metadata service", False
    for network, kind in _PRIVATE_NETWORKS:
        if address in network:
            return kind, True
    if address.is_link_local:
        return "a link-local address", False
    if address.is_multicast:
        return "a multicast address", False
    if address.is_unspecified or not address.is_global or address in _NAT64_LOCAL or address.is_reserved:
        return "an address for special purposes", False
    return "", False


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64 or (int(address) >> 32 == 0 and low > 1):  # the latter: IPv4-compatible, long deprecated
        return IPv4Address(low)
    return None


@lru_cache(maxsize=4096)
def _literal(host: str) -> tuple[Address | None, bool]:
    """The address that the host is, and whether it is written in a way that only inet_aton understands."""
    try:
        return _unmapped(ip_address(host.partition("%")[0])), False
    except ValueError:
        pass
    parts = host.split(".")
    last = parts[-1]
    if not (last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))):
        return None, False
    try:
        numbers = [_number(part) for part in parts]
        if len(numbers) > 4 or any(n > 255 for n in numbers[:-1]):
            return None, True
        head = sum(n << (24 - 8 * i) for i, n in enumerate(numbers[:-1]))
        if numbers[-1] >= 1 << (8 * (5 - len(numbers))):
            return None, True
        return IPv4Address(head + numbers[-1]), True
    except ValueError:
        return None, True


def _unmapped(address: Address) -> Address:
    """A mapped address is reached as the IPv4 one that it is."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part)


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")


def _is_named(host: str, allow_hosts: tuple[str, ...]) -> bool:
    names = _parsed(allow_hosts)[0]
    return host in names or any(name.startswith("*.") and host.endswith(name[1:]) for name in names)


def _is_within(address: Address | None, allow_hosts: tuple[str, ...]) -> bool:
    return address is not None and any(address in network for network in _parsed(allow_hosts)[1])


@lru_cache(maxsize=256)
def _parsed(allow_hosts: tuple[str, ...]) -> tuple[frozenset[str], tuple[IPv4Network | IPv6Network, ...]]:
    names, networks = {_plain(entry) for entry in allow_hosts}, []
    for entry in allow_hosts:
        with suppress(ValueError):  # it is a name
            networks.append(ip_network(entry.strip("[]"), strict=False))
    return frozenset(names), tuple(networks)


def _refused(host: str, kind: str, *, private: bool) -> AddressRefused:
    how = f"allow_hosts=({host!r},)" + (" or allow_private=True" if private else "")
    return AddressRefused(
        f"{host} is {kind}, which requests may not reach unless their connection says so: {how}", code="address_refused"
    )
