"""What moto's S3 leaves out: each of these is refused or kept by the server of ours, and not by moto alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import Conflict, NotFound, Transient, using

B = "shelf-of-books"


@pytest.fixture(scope="module")
def plain_process() -> Iterator[AwsServer]:
    with AwsServer(plain=True) as running:
        yield running


@pytest.fixture(params=["ours", "plain"])
def either(request: pytest.FixtureRequest, plain_process: AwsServer) -> Iterator[bool]:
    """Whether it is ours."""
    if request.param == "ours":
        request.getfixturevalue("aws")
        yield True
        return
    plain_process.reset()
    with using(plain_process.connection()):
        yield False


def s3(operation: str, **given: Any) -> dict[str, Any]:
    return aws_call("s3", operation, given)


def bucket(**more: Any) -> None:
    s3("create_bucket", Bucket=B, CreateBucketConfiguration={"LocationConstraint": "eu-central-1", **more})


def test_a_bucket_has_the_tags_that_it_was_made_with(either: bool) -> None:
    bucket(Tags=[{"Key": "a&b", "Value": "1"}])
    if either:
        assert s3("get_bucket_tagging", Bucket=B)["TagSet"] == [{"Key": "a&b", "Value": "1"}]
    else:
        with pytest.raises(NotFound):
            s3("get_bucket_tagging", Bucket=B)


@pytest.mark.parametrize("part", [False, True])
def test_a_body_that_was_damaged_on_its_way_is_refused(either: bool, part: bool) -> None:
    bucket()
    given: dict[str, Any] = {"Bucket": B, "Key": "a", "Body": b"hello", "ChecksumSHA256": "A" * 43 + "="}
    if part:
        given |= {"UploadId": s3("create_multipart_upload", Bucket=B, Key="a")["UploadId"], "PartNumber": 1}
    operation = "upload_part" if part else "put_object"
    if either:
        with pytest.raises(Transient, match="BadDigest"):
            s3(operation, **given)
    else:
        s3(operation, **given)


def test_a_copy_keeps_its_condition(either: bool) -> None:
    bucket()
    for key in ("a", "b"):
        s3("put_object", Bucket=B, Key=key, Body=key.encode())
    given: dict[str, Any] = {"Bucket": B, "Key": "b", "CopySource": {"Bucket": B, "Key": "a"}, "IfNoneMatch": "*"}
    if either:
        with pytest.raises(Conflict, match="PreconditionFailed"):
            s3("copy_object", **given)
    else:
        s3("copy_object", **given)


def test_parts_are_listed_by_their_numbers(either: bool) -> None:
    bucket()
    upload = {"Bucket": B, "Key": "a", "UploadId": s3("create_multipart_upload", Bucket=B, Key="a")["UploadId"]}
    for number in (7, 3):
        s3("upload_part", **upload, PartNumber=number, Body=b"x")

    def listed(**more: int) -> list[int]:
        return [part["PartNumber"] for part in s3("list_parts", **upload, **more).get("Parts", ())]

    assert listed(PartNumberMarker=2, MaxParts=1) == ([3] if either else [])
    assert listed(PartNumberMarker=3) == ([7] if either else [])
    assert sorted(listed()) == [3, 7]
