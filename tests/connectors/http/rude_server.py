"""A real HTTP server on loopback that can misbehave: it says exactly the bytes it is told to, stalls, or resets.

It runs on a loop of its own in a thread, so that the code under test meets a real network peer.
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"", *headers: str, length: bool = True) -> Answer:
    """A well-formed answer, after which the connection is closed unless its length is told."""
    lines = [f"HTTP/1.1 {status} Whatever", *headers]
    lines.append(f"Content-Length: {len(body)}" if length else "Connection: close")
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body, close=not length)


def raw(data: bytes, *, close: bool = True) -> Answer:
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return say


def silence(first: bytes = b"") -> Answer:
    """Says `first`, then nothing more, until the caller goes away."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await reader.read()

    return stall


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST, as a server that is killed does."""
    linger: socket.socket = writer.get_extra_info("socket")
    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that never ends, one byte at a time, none of them late."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


def endless(head: bytes, piece: bytes) -> Answer:
    """`piece` again and again, as fast as it is read."""

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return pour


class RudeServer:
    """`url = server.on("/path", first, second)`: the first request there gets `first`, every later one the last."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.certificates: list[object] = []
        """Of the callers, one a connection; an empty one of a caller that showed none."""
        self.received: list[Received] = []
        self.connections = 0
        self.open = 0
        self.closed = threading.Condition()
        self.port = 0
        self._answers: dict[str, list[Answer]] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def on(self, path: str, *answers: Answer) -> str:
        self._answers[path] = list(answers)
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}{path}"

    def wait_until_closed(self) -> bool:
        """Whether all connections are gone, within five seconds."""
        with self.closed:
            return self.closed.wait_for(lambda: self.open == 0, timeout=5)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            talks = asyncio.all_tasks(self._loop)
            for talk in talks:
                talk.cancel()
            self._loop.run_until_complete(asyncio.gather(*talks, return_exceptions=True))
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self.tls, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.certificates.append(writer.get_extra_info("peercert"))
        self.open += 1
        try:
            while not writer.is_closing():
                request = await self._read(reader)
                self.received.append(request)
                answers = self._answers[request.target.partition("?")[0]]
                await (answers.pop(0) if len(answers) > 1 else answers[0])(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller is gone
        finally:
            writer.close()
            with self.closed:
                self.open -= 1
                self.closed.notify_all()

    async def _read(self, reader: asyncio.StreamReader) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _version = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Received(method, target, headers, body)
