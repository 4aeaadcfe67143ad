"""A real HTTP server on loopback that answers after a real delay, and counts what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Loopback:
    url: str = ""
    paths: list[str] = field(default_factory=list)


@asynccontextmanager
async def loopback(latency: float) -> AsyncIterator[Loopback]:
    """`latency` in seconds, before each answer."""
    seen = Loopback()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        await asyncio.sleep(latency)
        seen.paths.append(path)
        body = f"answer to {path}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield seen
    finally:
        server.close()
        await server.wait_closed()
