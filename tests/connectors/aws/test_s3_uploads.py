"""Files in parts, and folders: what was sent is not sent again, what fails leaves nothing behind, what others wrote is told."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.aws import s3
from connectors.aws.client import aws_call
from connectors.aws.s3.uploads import part_size
from connectors.aws.testing import AwsServer
from connectors.core import AlreadyExists, Conflict, InvalidRequest, NotFound, Transient
from dtf_runtime import (
    OrchestrationCancelledError,
    OrchestrationFailedError,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    connect,
)
from tests.connectors.aws.delivery import delivered

B = "shelf-of-books"
MEBIBYTE = 1024 * 1024
PART = 5 * MEBIBYTE
REGISTRY = Registry(*s3.ACTIVITIES, *s3.ORCHESTRATIONS)


@pytest.fixture(autouse=True)
def bucket(aws: AwsServer) -> Iterator[None]:
    s3.create_bucket.fn(s3.CreateBucket(bucket=B))
    yield


@pytest.fixture
async def client(aws: AwsServer) -> AsyncIterator[TaskHubClient]:
    service = connect("memory://")
    worker = TaskHubWorker(service, registry=REGISTRY, connections=[aws.connection()])
    async with worker, TaskHubClient(service) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two parts and a bit."""
    path = tmp_path / "large.bin"
    path.write_bytes(b"".join(bytes([number]) * MEBIBYTE for number in range(11)) + b"end")
    return path


async def upload(client: TaskHubClient, path: Path, **more: Any) -> s3.UploadFileResult:
    call = s3.UploadFile(bucket=B, key="large", path=str(path), part_size=PART, at_once=2, **more)
    handle = await client.start(s3.upload_file, call)
    return await handle.result(60)


def under_way() -> list[str]:
    return [one.upload_id for one in s3.list_uploads.fn(s3.ListUploads(bucket=B)).uploads]


# == a file =======================================================================================================


async def test_a_file_arrives_whole_and_can_be_verified(aws: AwsServer, client: TaskHubClient, file: Path) -> None:
    done = await upload(client, file, content_type="text/x-large", metadata={"why": "test"}, tags={"a": "b"})
    assert (done.parts, done.size) == (3, file.stat().st_size)
    assert done.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    found = s3.head_object.fn(s3.ObjectName(bucket=B, key="large"))
    assert (found.etag, found.size, found.sha256) == (done.etag, done.size, done.sha256)
    assert (found.content_type, found.metadata["why"]) == ("text/x-large", "test")
    copy = file.with_suffix(".copy")
    got = s3.download_object.fn(s3.DownloadObject(bucket=B, key="large", path=str(copy)))
    assert got.verified
    assert copy.read_bytes() == file.read_bytes()
    assert not under_way()


async def test_a_small_file_is_put_in_one_request(aws: AwsServer, client: TaskHubClient, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("hello")
    done = await upload(client, tmp_path / "small")
    assert (done.parts, aws.count("PutObject"), aws.count("CreateMultipartUpload")) == (0, 1, 0)


@pytest.mark.parametrize("lost", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
async def test_an_answer_that_was_lost_repeats_nothing(
    aws: AwsServer, client: TaskHubClient, file: Path, lost: str
) -> None:
    aws.cut(lost, when="after", times=2 if lost == "UploadPart" else 1)
    done = await upload(client, file)
    assert done.parts == 3
    assert aws.count("CreateMultipartUpload") == 1
    assert sorted(
        call.parameters["partNumber"] for call in aws.calls if call.executed and call.operation == "UploadPart"
    ) == [
        "1",
        "2",
        "3",
    ]
    got = s3.get_object.fn(s3.GetObject(bucket=B, key="large", first=11 * MEBIBYTE))
    assert got.body == b"end"


async def test_an_object_in_the_way_is_found_before_anything_is_sent(
    aws: AwsServer, client: TaskHubClient, file: Path
) -> None:
    s3.put_object.fn(s3.PutObject(bucket=B, key="large", text="theirs"))
    with pytest.raises(OrchestrationFailedError) as failed:
        await upload(client, file)
    assert failed.value.failure.is_caused_by(AlreadyExists)
    assert aws.count("CreateMultipartUpload") == 0
    assert (await upload(client, file, existing="replace")).parts == 3


async def test_an_upload_that_fails_leaves_nothing_that_costs(
    aws: AwsServer, client: TaskHubClient, file: Path
) -> None:
    aws.fail("UploadPart", status=403, code="AccessDenied", skip=1)
    with pytest.raises(OrchestrationFailedError, match="AccessDenied"):
        await upload(client, file)
    assert not under_way()
    with pytest.raises(NotFound):
        s3.head_object.fn(s3.ObjectName(bucket=B, key="large"))


async def test_an_object_that_appeared_meanwhile_is_not_overwritten(
    aws: AwsServer, client: TaskHubClient, file: Path
) -> None:
    aws.hold("CompleteMultipartUpload", when="before")
    running = asyncio.create_task(upload(client, file))
    await asyncio.to_thread(aws.wait_held)
    await asyncio.to_thread(s3.put_object.fn, s3.PutObject(bucket=B, key="large", text="theirs"))
    aws.release()
    with pytest.raises(OrchestrationFailedError) as failed:
        await running
    assert failed.value.failure.is_caused_by(AlreadyExists)
    assert s3.get_object.fn(s3.GetObject(bucket=B, key="large")).body == b"theirs"
    assert not under_way()


async def test_a_file_that_changes_is_not_uploaded_in_halves(aws: AwsServer, client: TaskHubClient, file: Path) -> None:
    aws.hold("CreateMultipartUpload")
    running = asyncio.create_task(upload(client, file))
    await asyncio.to_thread(aws.wait_held)
    os.utime(file, ns=(1, 1))
    aws.release()
    with pytest.raises(OrchestrationFailedError, match="was changed"):
        await running
    assert not under_way()


def test_parts_grow_with_the_file() -> None:
    assert part_size(1, PART) == PART
    assert part_size(50_000 * MEBIBYTE, PART) == PART
    assert part_size(50_000 * MEBIBYTE + 1, PART) == 6 * MEBIBYTE


# == its steps ====================================================================================================


async def test_a_cancelled_upload_leaves_nothing_that_costs(aws: AwsServer, client: TaskHubClient, file: Path) -> None:
    aws.hold("UploadPart", times=2)
    call = s3.UploadFile(bucket=B, key="large", path=str(file), part_size=PART, at_once=2)
    handle = await client.start(s3.upload_file, call)
    await asyncio.to_thread(aws.wait_held, 2)
    await client.cancel(handle.instance_id)
    await asyncio.to_thread(aws.release)
    with pytest.raises(OrchestrationCancelledError):
        await handle.result(60)
    assert not under_way()


def begin(**more: Any) -> s3.CreateUploadResult:
    result: s3.CreateUploadResult = s3.create_upload.fn(s3.CreateUpload(bucket=B, key="a", known=[], **more))
    return result


def part(upload_id: str, path: Path, number: int = 1) -> s3.UploadPart:
    state = path.stat()
    offset = (number - 1) * PART
    return s3.UploadPart(
        bucket=B,
        key="a",
        upload_id=upload_id,
        number=number,
        path=str(path),
        offset=offset,
        size=min(PART, state.st_size - offset),
        file_size=state.st_size,
        modified_ns=state.st_mtime_ns,
    )


async def test_an_upload_that_was_known_before_is_not_taken_for_ones_own(aws: AwsServer) -> None:
    other = begin()
    call = s3.CreateUpload(bucket=B, key="a", known=[other.upload_id])
    first, second = await delivered(s3.create_upload, call)
    assert first.upload_id == second.upload_id != other.upload_id
    assert (first.replayed, second.replayed, first.mark == second.mark) == (False, True, True)


async def test_completing_twice_gives_the_same_object_and_other_uploads_are_refused(aws: AwsServer, file: Path) -> None:
    begun = begin()
    parts = [s3.upload_part.fn(part(begun.upload_id, file, number)).part for number in (1, 2, 3)]
    call = s3.CompleteUpload(bucket=B, key="a", upload_id=begun.upload_id, parts=parts, mark=begun.mark)
    first, second = await delivered(s3.complete_upload, call)
    assert first.etag == second.etag
    with pytest.raises(AlreadyExists):
        other = begin()
        sent = [s3.upload_part.fn(part(other.upload_id, file, number)).part for number in (1, 2, 3)]
        s3.complete_upload.fn(msgspec.structs.replace(call, upload_id=other.upload_id, mark=other.mark, parts=sent))


async def test_a_completion_whose_answer_was_lost_is_found_by_the_objects_mark(aws: AwsServer, file: Path) -> None:
    begun = begin()
    parts = [s3.upload_part.fn(part(begun.upload_id, file, number)).part for number in (1, 2, 3)]
    call = s3.CompleteUpload(bucket=B, key="a", upload_id=begun.upload_id, parts=parts, mark=begun.mark)
    aws.cut("CompleteMultipartUpload", when="after")
    over = lambda: aws.fail("CompleteMultipartUpload", status=404, code="NoSuchUpload")  # noqa: E731
    lost, found = await delivered(s3.complete_upload, call, between=over)
    assert isinstance(lost, Transient)
    assert found.replayed
    stray = msgspec.structs.replace(call, mark="somebody else's")
    aws.fail("CompleteMultipartUpload", status=404, code="NoSuchUpload")
    with pytest.raises(NotFound):
        s3.complete_upload.fn(stray)


def test_parts_are_named_with_their_checksums_and_listed(aws: AwsServer, file: Path) -> None:
    begun = begin()
    sent = s3.upload_part.fn(part(begun.upload_id, file, 2))
    again = s3.upload_part.fn(part(begun.upload_id, file, 2))
    assert (sent.replayed, again.replayed) == (False, True)
    assert sent.part == again.part
    listed = s3.list_parts.fn(s3.Upload(bucket=B, key="a", upload_id=begun.upload_id)).parts
    assert [(one.number, one.etag, one.size) for one in listed] == [(2, sent.part.etag, PART)]
    with pytest.raises(Conflict, match="was changed"):
        s3.upload_part.fn(msgspec.structs.replace(part(begun.upload_id, file), modified_ns=1))


def test_aborting_is_done_once_and_no_error_afterwards(aws: AwsServer) -> None:
    upload = s3.Upload(bucket=B, key="a", upload_id=begin().upload_id)
    assert s3.abort_upload.fn(upload).replayed is False
    assert s3.abort_upload.fn(upload).replayed is True
    assert not under_way()


# == a folder =====================================================================================================


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "img").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Hi</h1>")
    (folder / "img" / "ä.svg").write_text("<svg/>")
    (folder / "img.css").write_text("body {}")
    (folder / "draft.tmp").write_text("later")
    (folder / "link").symlink_to(folder / "index.html")
    return folder


async def sync(client: TaskHubClient, folder: Path, **more: Any) -> s3.SyncResult:
    call = s3.SyncDirectory(path=str(folder), bucket=B, prefix="www/", exclude=["*.tmp"], **more)
    return await (await client.start(s3.sync_directory, call)).result(60)


def keys() -> list[str]:
    return [one.key for one in s3.list_objects.fn(s3.ListObjects(bucket=B)).objects]


async def test_a_folder_is_sent_once_and_then_only_what_changed(
    aws: AwsServer, client: TaskHubClient, site: Path
) -> None:
    first = await sync(client, site)
    assert (first.uploaded, first.unchanged, first.conflicts) == (3, 0, [])
    assert keys() == ["www/img.css", "www/img/ä.svg", "www/index.html"]
    assert s3.head_object.fn(s3.ObjectName(bucket=B, key="www/index.html")).content_type == "text/html"
    second = await sync(client, site)
    assert (second.uploaded, second.unchanged) == (0, 3)
    (site / "index.html").write_text("<h1>Yo</h1>")  # of the same size
    third = await sync(client, site)
    assert (third.uploaded, third.unchanged, aws.count("PutObject")) == (1, 2, 4)


async def test_what_the_folder_has_not_is_deleted_only_when_asked(
    aws: AwsServer, client: TaskHubClient, site: Path
) -> None:
    for key in ("www/a.html", "www/z.html", "www/old.tmp", "elsewhere"):
        s3.put_object.fn(s3.PutObject(bucket=B, key=key, text="old"))
    assert (await sync(client, site)).deleted == 0
    assert (await sync(client, site, delete=True)).deleted == 2
    assert keys() == ["elsewhere", "www/img.css", "www/img/ä.svg", "www/index.html", "www/old.tmp"]


async def test_many_files_are_many_batches_and_a_long_sync_continues_as_new(
    aws: AwsServer, client: TaskHubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.aws.s3.sync._LONGEST_HISTORY", 10)
    for number in range(25):
        (tmp_path / f"{number:02}").write_text(str(number))
    done = await sync(client, tmp_path, batch=10)
    assert (done.uploaded, len(keys())) == (25, 25)
    assert (await sync(client, tmp_path, batch=10)).unchanged == 25


async def test_a_batch_that_was_broken_off_sends_only_what_is_missing(aws: AwsServer, site: Path) -> None:
    call = s3.SyncDirectory(path=str(site), bucket=B, prefix="www/", exclude=["*.tmp"])
    plan = s3.plan_sync.fn(call)
    batch = s3.SyncBatch(path=call.path, bucket=B, prefix=call.prefix, uploads=plan.uploads, deletes=[])
    aws.cut("PutObject", when="after", skip=1)
    lost, done = await delivered(s3.sync_batch, batch)
    assert isinstance(lost, Transient)
    assert (done.uploaded, done.conflicts, done.replayed) == (3, [], True)
    assert aws.count("PutObject") == 3


async def test_what_changed_after_the_plan_is_told_and_left_alone(aws: AwsServer, site: Path) -> None:
    call = s3.SyncDirectory(path=str(site), bucket=B, prefix="www/", exclude=["*.tmp"])
    plan = s3.plan_sync.fn(call)
    s3.put_object.fn(s3.PutObject(bucket=B, key="www/img.css", text="theirs"))
    (site / "index.html").write_text("changed meanwhile")
    batch = s3.SyncBatch(path=call.path, bucket=B, prefix=call.prefix, uploads=plan.uploads, deletes=[])
    done = s3.sync_batch.fn(batch)
    assert (done.uploaded, sorted(one.key for one in done.conflicts)) == (1, ["www/img.css", "www/index.html"])
    assert s3.get_object.fn(s3.GetObject(bucket=B, key="www/img.css")).body == b"theirs"


def test_a_folder_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(InvalidRequest, match="not a folder"):
        s3.plan_sync.fn(s3.SyncDirectory(path="/no/such/folder", bucket=B))


# == addresses that grant access ==================================================================================


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
async def test_an_address_reaches_a_file_that_only_its_owner_can_read(
    aws: AwsServer, tmp_path: Path, region: str
) -> None:
    path = tmp_path / "link.txt"
    path.with_suffix(".txt.part").write_text("left by a killed one")
    call = s3.WritePresignedUrl(bucket=B, key="a b", path=str(path), region=region, file_name="a b.txt", expires=60)
    result = s3.write_presigned_url.fn(call)
    url = path.read_text().strip()
    assert "X-Amz-Signature=" in url and "X-Amz-Expires=60" in url
    assert path.stat().st_mode & 0o777 == 0o600
    assert url not in msgspec.json.encode(result).decode()
    secret = s3.presigned_url(s3.PresignedUrl(bucket=B, key="a b", method="PUT", region=region))
    assert "Signature" not in repr(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_an_address_works_and_lasts_a_week_at_most(aws: AwsServer) -> None:
    from urllib.request import urlopen

    s3.put_object.fn(s3.PutObject(bucket=B, key="a", text="hello"))
    secret = s3.presigned_url(s3.PresignedUrl(bucket=B, key="a"))
    with urlopen(secret.reveal()) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(InvalidRequest, match="a week"):
        s3.presigned_url(s3.PresignedUrl(bucket=B, key="a", expires=8 * 24 * 3600))
    assert aws_call("s3", "head_object", {"Bucket": B, "Key": "a"})["ContentLength"] == 5
