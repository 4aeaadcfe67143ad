"""The release, copied out of the project: tried without AWS, killed in the middle of requests and gone on with. S3 says what is there how often."""

import asyncio
from pathlib import Path

import pytest

from connectors.aws import s3
from connectors.aws.testing import AwsServer
from connectors.core import NotFound
from cookbook.static_site_release import RELEASES, write
from tests.cookbook.conftest import Kitchen

BUCKET = "www.example.org"


def versions() -> dict[str, int]:
    """How often each object was written or hidden: the bucket keeps all versions."""
    found = [one.key for one in s3.list_object_versions.fn(s3.ListObjectVersions(bucket=BUCKET)).versions]
    return {key: found.count(key) for key in sorted(found)}


def objects() -> dict[str, str]:
    listed = s3.list_objects.fn(s3.ListObjects(bucket=BUCKET)).objects
    return {one.key: s3.get_object.fn(s3.GetObject(bucket=BUCKET, key=one.key)).body.decode() for one in listed}


async def released(kitchen: Kitchen, aws: AwsServer, site: Path, instance_id: str, killed_at: str = "") -> str:
    """What it printed. `killed_at`: the first time, with that request done and its answer held back."""
    line = (str(site), "--bucket", BUCKET, "--id", instance_id)
    if killed_at:
        aws.hold(killed_at, when="after")
        with kitchen.start("static_site_release", *line) as recipe:
            try:
                await asyncio.to_thread(aws.wait_held)
            finally:
                recipe.kill()
        aws.release()
    code, printed = await asyncio.to_thread(kitchen.run, "static_site_release", *line)
    assert code == 0, printed
    return printed


def test_tried_without_aws_it_releases_twice_and_sends_only_what_differs(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("static_site_release")
    assert code == 0, printed
    assert "Released: http://trial-site.s3-website.eu-central-1.amazonaws.com, 3 sent, 0 deleted, 0 unch" in printed
    assert "Released: s3://trial-site, 2 sent, 1 deleted, 1 unchanged" in printed
    assert not kitchen.refused


@pytest.mark.parametrize("moment", ["CreateBucket", "PutBucketPolicy", "PutBucketWebsite", "PutObject"])
async def test_killed_in_the_first_release_there_is_one_bucket_and_each_file_once(
    kitchen_with_aws: Kitchen, aws: AwsServer, tmp_path: Path, moment: str
) -> None:
    write(tmp_path / "site", RELEASES[0])
    assert "3 sent" in await released(kitchen_with_aws, aws, tmp_path / "site", "first", killed_at=moment)
    assert objects() == RELEASES[0]
    assert versions() == dict.fromkeys(sorted(RELEASES[0]), 1)
    assert aws.count("CreateBucket") == 1
    assert s3.get_bucket_settings.fn(s3.BucketName(bucket=BUCKET)).website_index == "index.html"
    assert not kitchen_with_aws.refused


@pytest.mark.parametrize("moment", ["PutObject", "DeleteObjects"])
async def test_killed_in_a_later_release_the_site_is_the_folder_and_what_is_the_same_was_not_sent(
    kitchen_with_aws: Kitchen, aws: AwsServer, tmp_path: Path, moment: str
) -> None:
    write(tmp_path / "site", RELEASES[0])
    await released(kitchen_with_aws, aws, tmp_path / "site", "first")
    write(tmp_path / "site", RELEASES[1])
    await released(kitchen_with_aws, aws, tmp_path / "site", "second", killed_at=moment)
    assert objects() == RELEASES[1]
    seen = versions()
    assert (seen["about.html"], seen["index.html"], seen["style.css"]) == (1, 2, 1)
    assert not kitchen_with_aws.refused


async def test_a_release_that_fails_leaves_no_half_of_a_site(
    kitchen_with_aws: Kitchen, aws: AwsServer, tmp_path: Path
) -> None:
    write(tmp_path / "site", RELEASES[0])
    aws.fail("s3:PutObject", status=403, code="AccessDenied", skip=2)
    line = (str(tmp_path / "site"), "--bucket", BUCKET)
    code, printed = await asyncio.to_thread(kitchen_with_aws.run, "static_site_release", *line)
    assert (code, "AccessDenied" in printed) == (1, True)
    with pytest.raises(NotFound):
        s3.head_bucket.fn(s3.BucketName(bucket=BUCKET))
