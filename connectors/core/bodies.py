"""Bodies in pieces of a known size: a few kilobytes that unpack to gigabytes must cost neither memory nor time.

httpx unpacks whatever one read brought, at once; so its decoders are not used.
"""

import zlib
from collections.abc import Iterator

from connectors.core.errors import Permanent

PIECE = 64 * 1024
"""Bytes: the most that is in memory of a body that is streamed."""
ENCODINGS = "gzip, deflate"


class BodyTooLarge(Permanent):
    """The answer is larger than the call allows. The request itself did happen."""

    may_have_happened = True


BodyTooLarge.__module__ = "connectors.core"


class BadEncoding(Exception):
    """The body is not what its Content-Encoding says."""


class Decoder:
    """Undoes a Content-Encoding. `feed` what arrives, then `end`; both give pieces of at most PIECE bytes. Raises BadEncoding."""

    def __init__(self, content_encoding: str) -> None:
        self._names = [name for part in content_encoding.lower().split(",") if (name := part.strip())]
        self._names = [name for name in self._names if name != "identity"]
        if any(name not in ("gzip", "x-gzip", "deflate") for name in self._names) or len(self._names) > 2:
            raise BadEncoding(f"an encoding that was not asked for, {content_encoding[:50]!r}")
        self._stages = [_Inflater(deflate=name == "deflate") for name in reversed(self._names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._through(0, data)

    def _through(self, stage: int, data: bytes) -> Iterator[bytes]:
        if stage == len(self._stages):
            for start in range(0, len(data), PIECE):
                yield data[start : start + PIECE]
            return
        for piece in self._stages[stage].feed(data):
            yield from self._through(stage + 1, piece)

    def end(self) -> None:
        for stage in self._stages:
            stage.end()


class _Inflater:
    def __init__(self, *, deflate: bool) -> None:
        self._deflate = deflate
        self._window = zlib.MAX_WBITS if deflate else zlib.MAX_WBITS | 16
        self._unpack = zlib.decompressobj(self._window)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._unpack.eof:  # several gzip members in a row are one body
                self._unpack = zlib.decompressobj(self._window)
            piece = self._step(data)
            data = self._unpack.unconsumed_tail or self._unpack.unused_data
            yield piece
            while len(piece) == PIECE and not data and not self._unpack.eof:  # it holds back what didn't fit
                piece = self._step(b"")
                yield piece

    def _step(self, data: bytes) -> bytes:
        first, self._begun = not self._begun, True
        try:
            return self._unpack.decompress(data, PIECE)
        except zlib.error as error:
            if not (self._deflate and first):
                raise BadEncoding("a compressed body that is damaged") from error
        self._window = -zlib.MAX_WBITS  # many servers send raw deflate under that name
        self._unpack = zlib.decompressobj(self._window)
        return self._step(data)

    def end(self) -> None:
        if self._begun and not self._unpack.eof:
            raise BadEncoding("a compressed body that is cut short")
