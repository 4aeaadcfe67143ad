"""Objects and buckets: what is written is written once, never over somebody else's, and comes back as it was."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.aws import s3
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import (
    AlreadyExists,
    BodyTooLarge,
    Conflict,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Transient,
)
from tests.connectors.aws.delivery import delivered

B = "shelf-of-books"
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def bucket(aws: AwsServer) -> Iterator[None]:
    s3.create_bucket.fn(s3.CreateBucket(bucket=B))
    yield


def text_of(key: str) -> str:
    return str(s3.get_object.fn(s3.GetObject(bucket=B, key=key)).body.decode())


def put(key: str, text: str, **more: Any) -> s3.PutObjectResult:
    result: s3.PutObjectResult = s3.put_object.fn(s3.PutObject(bucket=B, key=key, text=text, **more))
    return result


def versioned() -> None:
    s3.put_bucket_versioning.fn(s3.PutBucketVersioning(bucket=B, enabled=True))


def versions(key: str) -> int:
    found = s3.list_object_versions.fn(s3.ListObjectVersions(bucket=B)).versions
    return sum(one.key == key for one in found)


# == put ==========================================================================================================


def test_what_was_put_comes_back_with_all_that_was_said_about_it(aws: AwsServer) -> None:
    call = s3.PutObject(
        bucket=B,
        key="poems/ä ö?&+.txt",
        text="Grüße",
        content_type="text/plain; charset=utf-8",
        metadata={"author": "anon"},
        tags={"shelf": "top + left"},
        storage_class="STANDARD_IA",
    )
    made = s3.put_object.fn(call)
    found = s3.head_object.fn(s3.ObjectName(bucket=B, key=call.key))
    assert (found.etag, found.size, found.sha256) == (made.etag, 7, made.sha256)
    assert (found.content_type, found.storage_class) == ("text/plain; charset=utf-8", "STANDARD_IA")
    assert found.metadata["author"] == "anon"
    tags = aws_call("s3", "get_object_tagging", {"Bucket": B, "Key": call.key})["TagSet"]
    assert tags == [{"Key": "shelf", "Value": "top + left"}]
    assert text_of(call.key) == "Grüße"


@pytest.mark.parametrize("existing", ["refuse", "replace"])
async def test_a_second_delivery_adopts_what_the_first_one_put(aws: AwsServer, existing: Any) -> None:
    versioned()
    put("a", "old") if existing == "replace" else None
    before = aws.count("PutObject")
    call = s3.PutObject(bucket=B, key="a", text="new", existing=existing)
    first, second = await delivered(s3.put_object, call)
    assert (first.replayed, second.replayed) == (False, True)
    assert (first.etag, first.version_id, first.sha256, first.size) == (
        second.etag,
        second.version_id,
        second.sha256,
        second.size,
    )
    assert aws.count("PutObject") - before == 1
    assert versions("a") == (1 if existing == "refuse" else 2)


@pytest.mark.parametrize("existing", ["refuse", "replace"])
async def test_an_answer_that_was_lost_makes_no_second_version(aws: AwsServer, existing: Any) -> None:
    versioned()
    aws.cut("PutObject", when="after")
    lost, found = await delivered(s3.put_object, s3.PutObject(bucket=B, key="a", text="new", existing=existing))
    assert isinstance(lost, Transient)
    assert found.replayed
    assert versions("a") == aws.count("PutObject") == 1


def test_another_call_is_refused_and_changes_nothing(aws: AwsServer) -> None:
    put("a", "first")
    with pytest.raises(AlreadyExists, match='existing="replace"'):
        put("a", "second")
    assert text_of("a") == "first"


def test_replacing_takes_away_the_object_that_it_saw_and_no_other(aws: AwsServer) -> None:
    seen = put("a", "first")
    assert put("a", "second", existing="replace").replayed is False
    with pytest.raises(Conflict, match="if_match"):
        put("a", "third", if_match=seen.etag)
    with pytest.raises(Conflict):
        put("missing", "third", if_match=seen.etag)
    assert text_of("a") == "second"
    put("a", "third", if_match=s3.head_object.fn(s3.ObjectName(bucket=B, key="a")).etag)
    assert text_of("a") == "third"


async def test_a_repeat_that_replaces_leaves_alone_what_others_wrote_meanwhile_under_if_match(aws: AwsServer) -> None:
    seen = put("a", "first")
    call = s3.PutObject(bucket=B, key="a", text="mine", if_match=seen.etag)

    def theirs() -> None:
        put("a", "theirs", existing="replace")

    _, second = await delivered(s3.put_object, call, between=theirs)
    assert isinstance(second, Conflict)
    assert text_of("a") == "theirs"


async def test_what_was_written_between_the_look_and_the_write_is_looked_at_again(aws: AwsServer) -> None:
    put("a", "first")
    aws.hold("PutObject", when="before")
    already = len(aws.calls)
    writing = asyncio.create_task(asyncio.to_thread(put, "a", "mine", existing="replace"))
    await asyncio.to_thread(aws.wait_held)
    await asyncio.to_thread(put, "a", "theirs", existing="replace")
    aws.release()
    await writing
    seen = [call.status for call in aws.calls[already:] if call.operation == "PutObject"]
    assert sorted(seen) == [200, 200, 412]
    assert text_of("a") == "mine"


async def test_a_file_that_changes_after_its_checksum_was_made_is_not_stored(aws: AwsServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    aws.hold("HeadObject", when="before")
    call = s3.PutObject(bucket=B, key="a", path=str(tmp_path / "a"), existing="replace")
    writing = asyncio.create_task(asyncio.to_thread(s3.put_object.fn, call))
    await asyncio.to_thread(aws.wait_held)
    (tmp_path / "a").write_text("olleh")
    aws.release()
    with pytest.raises(Transient, match="BadDigest"):
        await writing
    with pytest.raises(NotFound):
        text_of("a")


def test_an_object_that_is_always_changed_by_others_is_given_up_for_now(aws: AwsServer) -> None:
    aws.fail("PutObject", status=412, code="PreconditionFailed", times=3)
    with pytest.raises(Transient, match="written by others"):
        put("a", "mine", existing="replace")


def test_the_body_is_exactly_one_of_three_and_our_metadata_is_ours() -> None:
    with pytest.raises(InvalidRequest, match="exactly one"):
        s3.put_object.fn(s3.PutObject(bucket=B, key="a"))
    with pytest.raises(InvalidRequest, match="exactly one"):
        s3.put_object.fn(s3.PutObject(bucket=B, key="a", text="", body=b""))
    with pytest.raises(InvalidRequest, match="dtf-key"):
        put("a", "b", metadata={"DTF-Key": "x"})
    with pytest.raises(InvalidRequest, match="No such file"):
        s3.put_object.fn(s3.PutObject(bucket=B, key="a", path="/no/such/file"))


# == get and download =============================================================================================


def test_a_range_and_a_condition(aws: AwsServer) -> None:
    etag = put("a", "0123456789").etag
    got = s3.get_object.fn(s3.GetObject(bucket=B, key="a", first=3, last=5, if_match=etag))
    assert (got.body, got.size) == (b"345", 10)
    with pytest.raises(Conflict):
        s3.get_object.fn(s3.GetObject(bucket=B, key="a", if_match="other"))
    with pytest.raises(NotFound):
        s3.get_object.fn(s3.GetObject(bucket=B, key="b"))
    with pytest.raises(NotFound):
        s3.head_object.fn(s3.ObjectName(bucket=B, key="b"))


def test_a_large_object_does_not_get_into_history(aws: AwsServer) -> None:
    put("a", "x" * 101)
    with pytest.raises(BodyTooLarge, match="101 bytes, and max_bytes is 100"):
        s3.get_object.fn(s3.GetObject(bucket=B, key="a", max_bytes=100))


def test_a_body_that_is_broken_off_is_worth_another_try(aws: AwsServer) -> None:
    put("a", "x" * 1000)
    aws.halve("GetObject")
    with pytest.raises(Transient):
        s3.get_object.fn(s3.GetObject(bucket=B, key="a"))
    assert len(text_of("a")) == 1000


def test_a_download_goes_on_where_it_was_broken_off(aws: AwsServer, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 3
    s3.put_object.fn(s3.PutObject(bucket=B, key="a", body=data))
    call = s3.DownloadObject(bucket=B, key="a", path=str(tmp_path / "a"))
    aws.halve("GetObject")
    with pytest.raises(Transient):
        s3.download_object.fn(call)
    assert not (tmp_path / "a").exists()
    got = s3.download_object.fn(call)
    assert got.resumed_at > MEBIBYTE
    assert got.verified
    assert (tmp_path / "a").read_bytes() == data
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_download_never_joins_two_versions(aws: AwsServer, tmp_path: Path) -> None:
    s3.put_object.fn(s3.PutObject(bucket=B, key="a", body=b"a" * 3 * MEBIBYTE))
    call = s3.DownloadObject(bucket=B, key="a", path=str(tmp_path / "a"))
    aws.halve("GetObject")
    with pytest.raises(Transient):
        s3.download_object.fn(call)
    s3.put_object.fn(s3.PutObject(bucket=B, key="a", body=b"b" * 3 * MEBIBYTE, existing="replace"))
    got = s3.download_object.fn(call)
    assert got.resumed_at == 0
    assert (tmp_path / "a").read_bytes() == b"b" * 3 * MEBIBYTE
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_download_of_another_content_than_expected_leaves_no_file(aws: AwsServer, tmp_path: Path) -> None:
    put("a", "hello")
    with pytest.raises(Permanent, match="another SHA-256"):
        s3.download_object.fn(s3.DownloadObject(bucket=B, key="a", path=str(tmp_path / "a"), sha256="00" * 32))
    with pytest.raises(Permanent, match="can't be written"):
        s3.download_object.fn(s3.DownloadObject(bucket=B, key="a", path=str(tmp_path / "no" / "a")))
    assert not list(tmp_path.iterdir())


def test_an_empty_object_is_an_empty_file(aws: AwsServer, tmp_path: Path) -> None:
    put("a", "")
    s3.download_object.fn(s3.DownloadObject(bucket=B, key="a", path=str(tmp_path / "a")))
    assert (tmp_path / "a").read_bytes() == b""


# == copy, delete, list ===========================================================================================


async def test_a_copy_is_made_once_and_needs_its_source_no_more(aws: AwsServer) -> None:
    put("a", "hello", content_type="text/plain", metadata={"author": "anon"})
    call = s3.CopyObject(source_bucket=B, source_key="a", bucket=B, key="c", metadata={"why": "backup"})
    gone = lambda: s3.delete_object.fn(s3.DeleteObject(bucket=B, key="a"))  # noqa: E731
    first, second = await delivered(s3.copy_object, call, between=gone)
    assert (first.replayed, second.replayed) == (False, True)
    assert aws.count("CopyObject") == 1
    found = s3.head_object.fn(s3.ObjectName(bucket=B, key="c"))
    assert (found.content_type, found.sha256, first.etag) == ("text/plain", first.sha256, found.etag)
    assert (found.metadata["author"], found.metadata["why"]) == ("anon", "backup")


def test_a_copy_over_somebody_elses_object_is_refused(aws: AwsServer) -> None:
    put("a", "hello")
    put("c", "theirs")
    call = s3.CopyObject(source_bucket=B, source_key="a", bucket=B, key="c")
    with pytest.raises(AlreadyExists):
        s3.copy_object.fn(call)
    assert text_of("c") == "theirs"
    s3.copy_object.fn(msgspec.structs.replace(call, existing="replace"))
    assert text_of("c") == "hello"
    with pytest.raises(NotFound):
        s3.copy_object.fn(msgspec.structs.replace(call, source_key="missing"))


def test_deleting_what_is_missing_is_no_error_but_a_missing_bucket_is(aws: AwsServer) -> None:
    etag = put("a", "hello").etag
    with pytest.raises(Conflict):
        s3.delete_object.fn(s3.DeleteObject(bucket=B, key="a", if_match="other"))
    s3.delete_object.fn(s3.DeleteObject(bucket=B, key="a", if_match=etag))
    assert s3.delete_object.fn(s3.DeleteObject(bucket=B, key="a", if_match=etag)).replayed
    s3.delete_object.fn(s3.DeleteObject(bucket=B, key="a"))
    with pytest.raises(NotFound):
        s3.delete_object.fn(s3.DeleteObject(bucket="no-such-bucket", key="a"))


def test_a_bucket_with_versions_is_emptied_page_by_page(aws: AwsServer) -> None:
    versioned()
    for number in range(5):
        put(f"{number}", "one")
        put(f"{number}", "two", existing="replace")
    assert s3.delete_object.fn(s3.DeleteObject(bucket=B, key="0")).delete_marker
    with pytest.raises(Conflict):
        s3.delete_bucket.fn(s3.BucketName(bucket=B))
    seen = 0
    while found := s3.list_object_versions.fn(s3.ListObjectVersions(bucket=B, page_size=4)).versions:
        seen += len(found)
        objects = [s3.ObjectVersion(key=one.key, version_id=one.version_id) for one in found]
        done = s3.delete_objects.fn(s3.DeleteObjects(bucket=B, objects=objects))
        assert (done.deleted, done.failed) == (len(found), [])
    assert seen == 11
    assert s3.delete_bucket.fn(s3.BucketName(bucket=B)).replayed is False
    assert s3.delete_bucket.fn(s3.BucketName(bucket=B)).replayed is True


def test_a_list_comes_in_pages_and_folders(aws: AwsServer) -> None:
    for key in ("a/1", "a/2", "b", "c", "d"):
        put(key, key)
    pages, page = [], ""
    while True:
        found = s3.list_objects.fn(s3.ListObjects(bucket=B, page_size=2, page=page))
        pages.append([one.key for one in found.objects])
        if not (page := found.next_page):
            break
    assert pages == [["a/1", "a/2"], ["b", "c"], ["d"]]
    folders = s3.list_objects.fn(s3.ListObjects(bucket=B, delimiter="/"))
    assert (folders.prefixes, [one.key for one in folders.objects]) == (["a/"], ["b", "c", "d"])


def test_deletions_that_fail_for_now_are_repeated_and_those_that_are_refused_are_told(aws: AwsServer) -> None:
    with pytest.raises(InvalidRequest, match="1 to 1,000"):
        s3.delete_objects.fn(s3.DeleteObjects(bucket=B, objects=[]))


# == buckets ======================================================================================================


async def test_a_bucket_in_the_way_is_adopted_only_by_the_call_that_made_it(aws: AwsServer) -> None:
    call = s3.CreateBucket(bucket="another-shelf", tags={"team": "blue"})
    before = aws.count("CreateBucket")
    first, second = await delivered(s3.create_bucket, call)
    assert (first.created, first.replayed) == (True, False)
    assert (second.created, second.replayed) == (True, True)
    assert aws.count("CreateBucket") - before == 1
    (other,) = await delivered(s3.create_bucket, call, 1)
    assert isinstance(other, AlreadyExists)
    (used,) = await delivered(s3.create_bucket, msgspec.structs.replace(call, existing="use"), 1)
    assert (used.created, used.replayed) == (False, False)


async def test_a_bucket_whose_first_answer_was_lost_is_made_once(aws: AwsServer) -> None:
    aws.cut("CreateBucket", when="after")
    lost, found = await delivered(s3.create_bucket, s3.CreateBucket(bucket="another-shelf"))
    assert isinstance(lost, ConnectorError)
    assert (found.created, found.replayed) == (True, True)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
async def test_a_bucket_lies_in_the_region_of_the_call(aws: AwsServer, region: str) -> None:
    s3.create_bucket.fn(s3.CreateBucket(bucket="elsewhere-1", region=region))
    assert s3.head_bucket.fn(s3.BucketName(bucket="elsewhere-1", region=region)).region == region


def test_all_settings_of_a_bucket_are_written_read_and_taken_away(aws: AwsServer) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{B}/*"}],
    }
    rule = s3.LifecycleRule(
        id="old",
        prefix="backup/",
        expire_days=90,
        transitions=[s3.Transition(days=30, storage_class="GLACIER")],
        expire_old_versions_days=7,
        abort_uploads_days=2,
    )
    for _repeat in range(2):
        s3.put_bucket_versioning.fn(s3.PutBucketVersioning(bucket=B, enabled=True))
        s3.put_bucket_encryption.fn(s3.PutBucketEncryption(bucket=B, algorithm="aws:kms", kms_key_id="k"))
        s3.put_public_access_block.fn(s3.PutPublicAccessBlock(bucket=B))
        s3.put_bucket_policy.fn(s3.PutBucketPolicy(bucket=B, policy=policy))
        s3.put_bucket_lifecycle.fn(s3.PutBucketLifecycle(bucket=B, rules=[rule]))
        s3.put_bucket_website.fn(s3.PutBucketWebsite(bucket=B, index="index.html", error="404.html"))
        assert s3.get_bucket_settings.fn(s3.BucketName(bucket=B)) == s3.BucketSettings(
            versioning="Enabled",
            encryption="aws:kms",
            kms_key_id="k",
            public_access_blocked=True,
            policy=policy,
            lifecycle=[rule],
            website_index="index.html",
            website_error="404.html",
        )
    s3.put_bucket_policy.fn(s3.PutBucketPolicy(bucket=B, policy=None))
    s3.put_bucket_lifecycle.fn(s3.PutBucketLifecycle(bucket=B, rules=[]))
    s3.put_bucket_website.fn(s3.PutBucketWebsite(bucket=B, index=None))
    found = s3.get_bucket_settings.fn(s3.BucketName(bucket=B))
    assert (found.policy, found.lifecycle, found.website_index) == (None, [], None)


def test_a_bucket_that_is_not_visible_yet_is_waited_for(aws: AwsServer) -> None:
    call = s3.PutBucketVersioning(bucket="not-yet", enabled=True)
    with pytest.raises(NotFound):
        s3.put_bucket_versioning.fn(call)
    with pytest.raises(Transient, match="not visible yet"):
        s3.put_bucket_versioning.fn(msgspec.structs.replace(call, just_made=True))


def test_a_lifecycle_rule_says_something() -> None:
    with pytest.raises(InvalidRequest, match="says nothing"):
        s3.put_bucket_lifecycle.fn(s3.PutBucketLifecycle(bucket=B, rules=[s3.LifecycleRule(id="empty")]))
    with pytest.raises(InvalidRequest, match="aws:kms"):
        s3.put_bucket_encryption.fn(s3.PutBucketEncryption(bucket=B, kms_key_id="k"))
