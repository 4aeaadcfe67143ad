"""Bodies to files, whole or not at all. Written in threads, a megabyte at a time: a slow disk must not hold the event loop."""

import asyncio
import hashlib
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_BATCH = 1024 * 1024  # bytes
_LATEST = 0.25  # seconds that bytes stay in memory while more come slowly: a kill loses them


@dataclass(frozen=True)
class Saved:
    size: int
    sha256: str


async def append(pieces: AsyncIterator[bytes], file: BinaryIO, *, check: Callable[[int], None]) -> int:
    """All of it to the file's end. `check` gets the number of bytes so far, before they are written, and may raise. Gives that number."""
    size, waiting, written = 0, bytearray(), time.monotonic()
    try:
        async for piece in pieces:
            size += len(piece)
            check(size)
            waiting += piece
            if len(waiting) >= _BATCH or time.monotonic() - written >= _LATEST:
                batch, waiting = waiting, bytearray()
                await asyncio.to_thread(_write, file, batch)
                written = time.monotonic()
    finally:  # what came before it broke off need not come again
        _write(file, waiting)
    return size


def _write(file: BinaryIO, data: bytearray) -> None:
    file.write(data)
    file.flush()


async def save(pieces: AsyncIterator[bytes], path: Path, *, mark: str, check: Callable[[int], None]) -> Saved:
    """The file is there, whole, or as it was before. `mark` names the call, so that its next delivery overwrites what a killed one left."""
    part = path.with_name(f".{path.name}.{mark}.part")
    try:
        with part.open("wb") as file:
            await append(pieces, file, check=check)
        return await asyncio.to_thread(finish, part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def finish(part: Path, path: Path) -> Saved:
    """From a complete part to the file, on disk before it has its name."""
    digest, size = hashlib.sha256(), 0
    with part.open("rb+") as file:
        while data := file.read(_BATCH):
            digest.update(data)
            size += len(data)
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync_folder(path.parent)
    return Saved(size, digest.hexdigest())


def digest(path: Path) -> str:
    """SHA-256, hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(path: Path) -> tuple[str, bytes]:
    """MD5, which many stores make their ETags of, in hex digits; and SHA-256."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        file.seek(0)
        return md5, hashlib.file_digest(file, "sha256").digest()


def in_digest_header(header: str, sha256: bytes) -> bool:
    """Whether Repr-Digest or Content-Digest (RFC 9530) names this very content."""
    return f"sha-256=:{b64encode(sha256).decode()}:" in header.replace(" ", "")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
