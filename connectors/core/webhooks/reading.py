"""A request's body, read within limits: too large is known as early as can be, and nobody holds a place by being slow."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Unreadable(Exception):
    """`status` is what the sender is told."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gone(Exception):
    """The sender hung up."""


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names; repeated ones joined by a comma. Raises Unreadable for several lengths of one body."""
    found: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "content-length" and found.get(name, value) != value:
            raise Unreadable(400)
        found[name] = f"{found[name]}, {value}" if name in found and name != "content-length" else value
    return found


async def read_body(receive: Receive, headers: Mapping[str, str], *, most: int, total: float, idle: float) -> bytes:
    """At most `most` bytes, within `total` seconds, with no pause longer than `idle` seconds. Raises Unreadable, Gone."""
    announced = headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()):
        raise Unreadable(400)
    if int(announced) > most:
        raise Unreadable(413)
    body = bytearray()
    try:
        async with asyncio.timeout(total):
            while True:
                async with asyncio.timeout(idle):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                body += message.get("body", b"")
                if len(body) > most:
                    raise Unreadable(413)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Unreadable(408) from None
