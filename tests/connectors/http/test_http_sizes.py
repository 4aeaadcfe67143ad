"""Bodies without end: refused at the limit, and what they cost is measured in a process of its own."""

import gzip
import hashlib
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from connectors.core import BodyTooLarge, Permanent, Transient
from connectors.core.bodies import PIECE, BadEncoding, Decoder
from tests.connectors.http.calls import call, failure
from tests.connectors.http.rude_server import Answer, RudeServer, answer, endless, raw

MEASURE = """
import asyncio, json, sys
from connectors.core import ConnectorError
from tests.connectors.http.calls import call_async

def peak():
    # Of this program alone: Linux hands getrusage's number on from the one that started it.
    if sys.platform != "linux":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

async def main(warm, url, more):
    for _ in range(3):
        await call_async(warm)
    before = peak()
    try:
        got = await call_async(url, timeout=60, **more)
        how = f"{got.size} bytes"
    except ConnectorError as error:
        how = type(error).__name__
    return {"how": how, "grown": peak() - before}

print(json.dumps(asyncio.run(main(*json.loads(sys.argv[1])))))
"""
MIB = 1024 * 1024
GZIP_BOMB = gzip.compress(b"\0" * (64 * MIB), 9)
NESTED_BOMB = gzip.compress(GZIP_BOMB * 64, 9)
BODIES: dict[str, Answer] = {
    "without a length": endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * PIECE),
    "with a length": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"x" * PIECE),
    "in chunks": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * PIECE + b"\r\n"
    ),
    "gzip bomb": answer(200, GZIP_BOMB, "Content-Encoding: gzip"),
    "endless gzip bomb": endless(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", GZIP_BOMB),
    "gzip in gzip": answer(200, NESTED_BOMB, "Content-Encoding: gzip, gzip"),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"x" * 1000 + b"\r\n"),
}


def measured(server: RudeServer, body: Answer, **more: Any) -> tuple[str, int]:
    arguments = [server.on("/warm", answer(200, b"x" * MIB)), server.on("/", body), more]
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=Path(__file__).parents[3],
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    return found["how"], found["grown"]


@pytest.mark.parametrize("how", BODIES)
def test_a_body_without_end_is_refused_at_the_limit_and_costs_less_than_20_megabytes(
    server: RudeServer, how: str
) -> None:
    ended, grown = measured(server, BODIES[how], max_bytes=4 * MIB)
    assert ended == ("Transient" if how == "headers" else "BodyTooLarge")
    assert grown < 20 * MIB


def test_the_measure_notices_what_is_in_memory(server: RudeServer) -> None:
    ended, grown = measured(server, answer(200, b"x" * (32 * MIB)), max_bytes=64 * MIB)
    assert ended == f"{32 * MIB} bytes"
    assert grown > 30 * MIB


def test_a_large_body_goes_to_a_file_without_being_in_memory(server: RudeServer, tmp_path: Path) -> None:
    target = tmp_path / "large.bin"
    ended, grown = measured(server, answer(200, GZIP_BOMB, "Content-Encoding: gzip"), save_to=str(target))
    assert ended == f"{64 * MIB} bytes"
    assert target.stat().st_size == 64 * MIB
    assert grown < 20 * MIB


# -- Saved to a file --------------------------------------------------------------------------------------------------


def test_a_saved_body_is_told_by_its_size_and_checksum(server: RudeServer, tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    target.write_text("older")
    got = call(server.on("/", answer(200, b"a,b\n" * 1000)), save_to=str(target), max_bytes=10)
    assert (got.body, got.size, got.saved_to) == (b"", 4000, str(target))
    assert got.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answer(200, b"x" * 2000), BodyTooLarge),
        (answer(200, b"x" * 2000, length=False), BodyTooLarge),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Transient),
    ],
)
def test_a_body_that_breaks_off_leaves_the_file_as_it_was(
    server: RudeServer, tmp_path: Path, body: Answer, kind: type[Exception]
) -> None:
    target = tmp_path / "report.csv"
    target.write_text("older")
    error = failure(server.on("/", body), save_to=str(target), max_saved_bytes=1000)
    assert isinstance(error, kind)
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_an_error_for_good(server: RudeServer, tmp_path: Path) -> None:
    error = failure(server.on("/", answer(200, b"hi")), save_to=str(tmp_path / "missing" / "file"))
    assert (type(error), error.code) == (Permanent, "file")


# -- Encodings --------------------------------------------------------------------------------------------------------


def test_every_encoding_that_is_asked_for_is_undone(server: RudeServer) -> None:
    text = b"hello " * 10_000
    squeezed = zlib.compressobj(wbits=-15)
    raw_deflate = squeezed.compress(text) + squeezed.flush()
    for name, body in {
        "gzip": gzip.compress(text),
        "GZIP": gzip.compress(text[:100]) + gzip.compress(text[100:]),
        "x-gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "Deflate": raw_deflate,
        "gzip, deflate": zlib.compress(gzip.compress(text)),
        "identity": text,
    }.items():
        assert call(server.on("/", answer(200, body, f"Content-Encoding: {name}"))).body == text, name


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("br", b"whatever"),
        ("gzip, gzip, gzip", b"whatever"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-4]),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-8] + b"\0" * 8),
        ("gzip", gzip.compress(b"hello", mtime=0) + b"garbage"),
        ("deflate", b"\xff\xff\xff"),
    ],
)
def test_an_encoding_that_cannot_be_undone_is_an_error(server: RudeServer, name: str, body: bytes) -> None:
    error = failure(server.on("/", answer(200, body, f"Content-Encoding: {name}")))
    assert (isinstance(error, Transient), error.code) == (True, "BadEncoding")


def test_no_piece_is_larger_than_the_limit_however_the_input_is_cut() -> None:
    text = bytes(range(256)) * 2048
    squeezed = gzip.compress(text)
    for size in (1, 7, 1000, len(squeezed)):
        decoder = Decoder("gzip")
        pieces = [piece for at in range(0, len(squeezed), size) for piece in decoder.feed(squeezed[at : at + size])]
        decoder.end()
        assert b"".join(pieces) == text
        assert max(map(len, pieces)) <= PIECE


def test_a_body_that_unpacks_to_exactly_one_piece_is_whole() -> None:
    for size in (PIECE - 1, PIECE, PIECE + 1, 2 * PIECE):
        decoder = Decoder("gzip")
        assert sum(map(len, decoder.feed(gzip.compress(b"\0" * size)))) == size
        decoder.end()
    with pytest.raises(BadEncoding):
        decoder = Decoder("gzip")
        list(decoder.feed(gzip.compress(b"x")[:-1]))
        decoder.end()
