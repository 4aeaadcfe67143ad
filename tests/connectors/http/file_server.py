"""A server that stores one file and serves ranges of it, breaking off where it is told to: what a download or an upload resumes against."""

import asyncio
import hashlib
import re
from dataclasses import dataclass, field

from tests.connectors.http.rude_server import Answer, RudeServer


@dataclass
class StoredFile:
    """`server.on(path, file.answer(server))`. Counts what it was asked and what it sent."""

    content: bytes
    etag: str = '"v1"'
    modified: str = ""
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    """Bytes of the body after which each next answer is cut off; when empty, answers are whole."""
    sent: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, server: RudeServer) -> Answer:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            headers = server.received[-1].headers
            wanted = headers.get("range", "")
            self.asked.append(wanted)
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            start = int(match[1]) if match and self.ranges and headers.get("if-range") in self._validators() else 0
            body = self.content[start:]
            if start and not body:
                writer.write(f"HTTP/1.1 416 No\r\nContent-Range: bytes */{len(self.content)}\r\n".encode())
                writer.write(b"Content-Length: 0\r\n\r\n")
                return
            lines = ["HTTP/1.1 206 Part" if start else "HTTP/1.1 200 OK", f"Content-Length: {len(body)}"]
            lines += [f"Content-Range: bytes {start}-{len(self.content) - 1}/{len(self.content)}"] if start else []
            lines += [f"ETag: {self.etag}"] if self.etag else []
            lines += [f"Last-Modified: {self.modified}"] if self.modified else []
            cut = self.break_after.pop(0) if self.break_after else None
            body = body if cut is None else body[:cut]
            self.sent += len(body)
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            if cut is not None:
                writer.close()

        return serve

    def _validators(self) -> set[str]:
        return {each for each in (self.etag, self.modified) if each and not each.startswith("W/")}


@dataclass
class UploadSession:
    """An upload session as Google's servers keep it: 308 with Range until all is there."""

    got: bytearray = field(default_factory=bytearray)
    lose: list[int] = field(default_factory=list)
    """Bytes of each next chunk that are kept before the connection breaks."""
    chunks: int = 0
    complete: bool = False

    def answer(self, server: RudeServer) -> Answer:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = server.received[-1]
            said = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", request.headers["content-range"])
            assert said, request.headers
            total = int(said[3])
            if said[1] is not None:
                assert int(said[1]) == len(self.got), "a chunk that does not begin where the last one ended"
                assert int(said[2]) - int(said[1]) + 1 == len(request.body)
                self.chunks += 1
                if self.lose:
                    self.got += request.body[: self.lose.pop(0)]
                    writer.transport.abort()
                    return
                self.got += request.body
            if len(self.got) == total:
                self.complete = True
                tag = hashlib.md5(self.got, usedforsecurity=False).hexdigest()
                writer.write(f'HTTP/1.1 200 OK\r\nETag: "{tag}"\r\nContent-Length: 0\r\n\r\n'.encode())
                return
            arrived = f"Range: bytes=0-{len(self.got) - 1}\r\n" if self.got else ""
            writer.write(f"HTTP/1.1 308 Resume Incomplete\r\n{arrived}Content-Length: 0\r\n\r\n".encode())

        return serve
