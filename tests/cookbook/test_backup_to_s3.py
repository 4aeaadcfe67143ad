"""The backup, copied out of the project: tried without AWS, killed at every kind of step and gone on with. AWS's own count says what was done."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from connectors.aws import s3
from connectors.aws.testing import AwsServer
from cookbook.backup_to_s3 import FILE, website
from tests.cookbook.conftest import Kitchen


def test_tried_without_aws_it_stores_a_flaky_websites_file_and_leaves_the_machine_alone(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("backup_to_s3")
    assert code == 0, printed
    assert f"s3://trial-backups/dump.bin, {len(FILE):,} bytes, sha256 {hashlib.sha256(FILE).hexdigest()}" in printed
    assert not kitchen.refused
    assert not list(kitchen.folder.glob("dump.bin*"))


@pytest.mark.parametrize("moment", ["CreateBucket", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
async def test_killed_in_the_middle_of_a_request_it_goes_on_and_nothing_is_done_twice(
    kitchen_with_aws: Kitchen, aws: AwsServer, tmp_path: Path, moment: str
) -> None:
    kitchen, log = kitchen_with_aws, tmp_path / "asked.txt"
    with website(str(log)) as url:
        line = ("--id", "monday", url, "--bucket", "my-backups", "--part-size", str(6 * 1024 * 1024))
        aws.hold(moment, when="after")
        with kitchen.start("backup_to_s3", *line) as recipe:
            try:
                await asyncio.to_thread(aws.wait_held)
            finally:
                recipe.kill()
        aws.release()
        code, printed = await asyncio.to_thread(kitchen.run, "backup_to_s3", *line)
    assert code == 0, printed
    made = ("CreateBucket", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject")
    assert [aws.count(name) for name in made] == [1, 1, 3, 1, 0]
    assert s3.get_object.fn(s3.GetObject(bucket="my-backups", key="dump.bin", first=len(FILE) - 7)).body == b"the end"
    settings = s3.get_bucket_settings.fn(s3.BucketName(bucket="my-backups"))
    assert settings.public_access_blocked
    assert [rule.expire_days for rule in settings.lifecycle] == [90]
    assert [json.loads(line)["start"] for line in log.read_text().splitlines()] == [0, len(FILE) // 2]
    assert not kitchen.refused


async def test_a_bucket_of_somebody_else_is_not_used(kitchen_with_aws: Kitchen, aws: AwsServer, tmp_path: Path) -> None:
    aws.fail("HeadBucket", status=403, code="403")
    aws.fail("CreateBucket", status=409, code="BucketAlreadyExists")
    with website(str(tmp_path / "asked.txt")) as url:
        code, printed = await asyncio.to_thread(kitchen_with_aws.run, "backup_to_s3", url, "--bucket", "taken")
    assert code == 1
    assert "BucketAlreadyExists" in printed
    assert aws.count("PutObject") == aws.count("UploadPart") == 0
