"""Downloads and uploads: streamed, whole or not at all, and going on where the last attempt broke off, never joining two versions."""

import asyncio
import hashlib
import random
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from connectors.core import (
    Ambiguous,
    BodyTooLarge,
    Conflict,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Transient,
)
from connectors.http import Download, Downloaded, Upload, Uploaded, download, upload
from dtf_runtime import (
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    activity_context,
    orchestration,
    run,
)
from tests.connectors.http.file_server import StoredFile, UploadSession
from tests.connectors.http.rude_server import RudeServer, answer, reset

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
registry = Registry(download, upload)


async def fetch(url: str, path: Path, **more: Any) -> Downloaded:
    return await download(Download(url=url, path=str(path), **more))


async def fetch_failing(url: str, path: Path, **more: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await fetch(url, path, **more)
    return caught.value


# -- Downloads --------------------------------------------------------------------------------------------------------


async def test_a_file_arrives_whole_and_nothing_else_is_left(server: RudeServer, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"older")
    file = StoredFile(CONTENT)
    got = await fetch(server.on("/f", file.answer(server)), target, sha256=SHA256.upper())
    assert got == Downloaded(path=str(target), size=len(CONTENT), sha256=SHA256, etag='"v1"')
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]
    assert server.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "validators", [{}, {"etag": "", "modified": "Tue, 06 Feb 2001 08:00:00 GMT"}], ids=["ETag", "Last-Modified"]
)
async def test_a_next_attempt_goes_on_where_the_last_one_broke_off(
    server: RudeServer, tmp_path: Path, validators: dict[str, Any]
) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"older")
    file = StoredFile(CONTENT, break_after=[100_000, 50_000], **validators)
    url = server.on("/f", file.answer(server))
    for _ in range(2):
        assert isinstance(await fetch_failing(url, target), Transient)
        assert target.read_bytes() == b"older"
    got = await fetch(url, target, sha256=SHA256)
    assert (got.resumed_from, file.sent) == (150_000, len(CONTENT))
    assert file.asked == ["", "bytes=100000-", "bytes=150000-"]
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "second",
    [
        StoredFile(CONTENT[::-1], etag='"v2"'),
        StoredFile(CONTENT[::-1], etag='"v1"', ranges=False),
        StoredFile(CONTENT[:10], etag='"v2"'),
    ],
    ids=["another version", "a server without ranges", "a shorter version"],
)
async def test_two_versions_are_never_joined(server: RudeServer, tmp_path: Path, second: StoredFile) -> None:
    target = tmp_path / "file.bin"
    url = server.on("/f", StoredFile(CONTENT, break_after=[100_000]).answer(server), second.answer(server))
    await fetch_failing(url, target)
    got = await fetch(url, target)
    assert target.read_bytes() == second.content
    assert got.resumed_from == 0


async def test_a_server_that_sends_another_range_than_it_was_asked_for_is_asked_for_everything(
    server: RudeServer, tmp_path: Path
) -> None:
    wrong = answer(206, CONTENT[5:], f"Content-Range: bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}", 'ETag: "v1"')
    first, whole = StoredFile(CONTENT, break_after=[100_000]), StoredFile(CONTENT)
    url = server.on("/f", first.answer(server), wrong, whole.answer(server))
    await fetch_failing(url, tmp_path / "file.bin")
    await fetch(url, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert whole.asked == [""]


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
async def test_without_a_strong_validator_it_begins_anew(server: RudeServer, tmp_path: Path, etag: str) -> None:
    file = StoredFile(CONTENT, etag=etag, break_after=[100_000])
    url = server.on("/f", file.answer(server))
    await fetch_failing(url, tmp_path / "file.bin")
    await fetch(url, tmp_path / "file.bin", sha256=SHA256)
    assert file.asked == ["", ""]


async def test_another_address_does_not_go_on_with_this_ones_bytes(server: RudeServer, tmp_path: Path) -> None:
    one, two = StoredFile(CONTENT, break_after=[100_000]), StoredFile(CONTENT[::-1])
    one_url, two_url = server.on("/one", one.answer(server)), server.on("/two", two.answer(server))
    await fetch_failing(one_url, tmp_path / "file.bin")
    await fetch(two_url, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[::-1]


async def test_a_fresh_signature_in_the_address_is_still_the_same_file(server: RudeServer, tmp_path: Path) -> None:
    file = StoredFile(CONTENT, break_after=[100_000])
    url = server.on("/f", file.answer(server))
    await fetch_failing(url + "?X-Amz-Signature=one", tmp_path / "file.bin")
    assert (await fetch(url + "?X-Amz-Signature=two", tmp_path / "file.bin")).resumed_from == 100_000


async def test_what_arrived_whole_but_was_not_finished_is_not_fetched_again(server: RudeServer, tmp_path: Path) -> None:
    file = StoredFile(CONTENT, break_after=[100_000])
    url = server.on("/f", file.answer(server))
    await fetch_failing(url, tmp_path / "file.bin")
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    got = await fetch(url, tmp_path / "file.bin", sha256=SHA256)
    assert (got.replayed, file.sent) == (True, 100_000)


async def test_a_damaged_part_is_fetched_anew_when_the_checksum_is_known(server: RudeServer, tmp_path: Path) -> None:
    file = StoredFile(CONTENT, break_after=[100_000])
    url = server.on("/f", file.answer(server))
    await fetch_failing(url, tmp_path / "file.bin")
    (tmp_path / "file.bin.part").write_bytes(b"\0" * 100_000)
    await fetch(url, tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


async def test_a_file_with_another_checksum_is_an_error_for_good(server: RudeServer, tmp_path: Path) -> None:
    url = server.on("/f", StoredFile(CONTENT).answer(server))
    error = await fetch_failing(url, tmp_path / "file.bin", sha256="0" * 64)
    assert (type(error), error.code) == (Permanent, "checksum")
    assert not list(tmp_path.iterdir())


async def test_a_file_that_is_too_large_is_refused(server: RudeServer, tmp_path: Path) -> None:
    url = server.on("/f", StoredFile(CONTENT).answer(server), answer(200, CONTENT, length=False))
    for _ in range(2):
        assert isinstance(await fetch_failing(url, tmp_path / "file.bin", max_bytes=1000), BodyTooLarge)
    assert not (tmp_path / "file.bin").exists()


async def test_a_file_that_is_not_there_leaves_what_was(server: RudeServer, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"older")
    assert isinstance(await fetch_failing(server.on("/f", answer(404)), tmp_path / "file.bin"), NotFound)
    assert (tmp_path / "file.bin").read_bytes() == b"older"
    assert type(await fetch_failing("ftp://x/f", tmp_path / "file.bin")) is InvalidRequest
    assert (await fetch_failing(server.on("/f", answer(200)), tmp_path / "missing" / "f")).code == "file"


async def test_two_downloads_to_one_file_do_not_write_into_each_other(server: RudeServer, tmp_path: Path) -> None:
    served = asyncio.Event()

    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi")
        await writer.drain()
        loop.call_soon_threadsafe(served.set)
        await asyncio.get_running_loop().run_in_executor(None, release.wait, 10)
        writer.write(b"ne")

    loop, release = asyncio.get_running_loop(), threading.Event()
    url = server.on("/f", slow)
    first = asyncio.ensure_future(fetch(url, tmp_path / "file.bin"))
    await served.wait()
    error = await fetch_failing(url, tmp_path / "file.bin")
    release.set()
    assert isinstance(error, Transient) and "another delivery" in str(error)
    assert (await first).size == 4
    assert len(server.received) == 1


@orchestration(name="tests.http.download", registry=registry)
async def by_worker(ctx: OrchestrationContext, call: Download) -> Downloaded:
    return await download.options(retry=RetryPolicy(max_attempts=5, first_interval=0))(call)


async def test_a_workflows_retries_fetch_each_byte_once(server: RudeServer, tmp_path: Path) -> None:
    file = StoredFile(CONTENT, break_after=[100_000, 100_000, 50_000])
    call = Download(url=server.on("/f", file.answer(server)), path=str(tmp_path / "file.bin"), sha256=SHA256)
    got = await run(by_worker, call, service="memory://", registry=registry)
    assert (got.resumed_from, file.sent) == (250_000, len(CONTENT))


told: list[Any] = []


@activity(name="tests.http.watched", registry=registry, retry=RetryPolicy(max_attempts=3, first_interval=0))
async def watched(call: Download) -> Downloaded:
    told.append(activity_context().last_heartbeat)
    return await download.fn(call)  # type: ignore[no-any-return]


@orchestration(name="tests.http.watching", registry=registry)
async def watching(ctx: OrchestrationContext, call: Download) -> Downloaded:
    return await watched(call)


async def test_a_next_attempt_is_told_how_far_the_last_one_came(server: RudeServer, tmp_path: Path) -> None:
    told.clear()
    file = StoredFile(CONTENT, break_after=[100_000])
    call = Download(url=server.on("/f", file.answer(server)), path=str(tmp_path / "file.bin"))
    await run(watching, call, service="memory://", registry=registry)
    first, second = told
    assert first is None
    assert second["total"] == len(CONTENT)
    assert 0 <= second["bytes"] <= 100_000


# -- Uploads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


async def send(source: Path, url: str, **more: Any) -> Uploaded:
    return await upload(Upload(path=str(source), url=url, **more))


async def test_a_file_is_sent_whole_with_its_length(server: RudeServer, source: Path) -> None:
    got = await send(source, server.on("/f", answer(201, b"", 'ETag: "v1"')), content_type="image/png")
    arrived = server.received[0]
    assert (arrived.method, arrived.body) == ("PUT", CONTENT)
    assert (arrived.headers["content-length"], arrived.headers["content-type"]) == (str(len(CONTENT)), "image/png")
    assert "transfer-encoding" not in arrived.headers
    assert (got.status, got.size, got.etag) == (201, len(CONTENT), '"v1"')


async def test_an_empty_file_is_a_file(server: RudeServer, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert (await send(tmp_path / "empty", server.on("/f", answer(204)))).size == 0


async def test_a_redirect_gets_the_file_again(server: RudeServer, source: Path) -> None:
    server.on("/there", answer(200))
    await send(source, server.on("/f", answer(307, b"", "Location: /there")))
    assert server.received[1].body == CONTENT


async def test_a_put_may_be_repeated_and_a_post_may_not(server: RudeServer, source: Path) -> None:
    url = server.on("/f", reset)
    with pytest.raises(Transient):
        await send(source, url)
    with pytest.raises(Ambiguous):
        await send(source, url, method="POST")


@pytest.mark.parametrize(
    ("head", "adopted"),
    [
        (f'ETag: "{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"', True),
        ("Repr-Digest: sha-256=:" + b64encode(hashlib.sha256(CONTENT).digest()).decode() + ":", True),
        ('ETag: "somebody else\'s"', False),
    ],
)
@pytest.mark.parametrize("condition", [{"if_absent": True}, {"if_match": '"v0"'}])
async def test_a_condition_that_an_earlier_delivery_broke_itself_is_success(
    server: RudeServer, source: Path, head: str, adopted: bool, condition: dict[str, Any]
) -> None:
    stored = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n{head}\r\n\r\n".encode()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        put = server.received[-1].method == "PUT"
        writer.write(b"HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n" if put else stored)

    url = server.on("/f", respond)
    if adopted:
        assert (await send(source, url, **condition)).replayed
    else:
        with pytest.raises(Conflict):
            await send(source, url, **condition)
    assert server.received[0].headers.get("if-none-match") == ("*" if "if_absent" in condition else None)


async def test_chunks_arrive_in_order_and_once(server: RudeServer, source: Path) -> None:
    session = UploadSession()
    got = await send(source, server.on("/s", session.answer(server)), chunk_bytes=70_000)
    assert (bytes(session.got), session.chunks, session.complete) == (CONTENT, 5, True)
    assert (got.resumed_from, got.replayed) == (0, False)


async def test_a_next_attempt_sends_only_what_has_not_arrived(server: RudeServer, source: Path) -> None:
    session = UploadSession(lose=[70_000, 30_000])
    url = server.on("/s", session.answer(server))
    for _ in range(2):
        with pytest.raises(Transient):
            await send(source, url, chunk_bytes=70_000)
    got = await send(source, url, chunk_bytes=70_000)
    assert bytes(session.got) == CONTENT
    assert got.resumed_from == 100_000


async def test_what_is_all_there_is_not_sent_again(server: RudeServer, source: Path) -> None:
    session = UploadSession(got=bytearray(CONTENT))
    got = await send(source, server.on("/s", session.answer(server)), chunk_bytes=70_000)
    assert (got.replayed, session.chunks) == (True, 0)


async def test_a_server_that_keeps_nothing_is_given_up(server: RudeServer, source: Path) -> None:
    with pytest.raises(Permanent, match="keeps nothing"):
        await send(source, server.on("/s", answer(308)), chunk_bytes=70_000)
    assert len(server.received) < 6


async def test_a_file_that_is_not_there_is_an_error_for_good(server: RudeServer, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="can't be read"):
        await send(tmp_path / "missing", server.on("/f", answer(200)))
    assert server.connections == 0
