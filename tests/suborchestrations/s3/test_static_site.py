"""`static_site` against a server that behaves as S3 does, in virtual time."""

import asyncio
from pathlib import Path

from connectors.aws.s3 import BucketName, get_bucket_settings
from connectors.aws.testing import AwsServer
from suborchestrations.s3 import static_site
from tests.suborchestrations.s3.world import BUCKET, PAGES, Account, requests_of, site_spec, write_pages


async def test_the_folder_is_there_with_its_types_readable_by_all_and_served(aws: AwsServer, tmp_path: Path) -> None:
    there = Account(aws)
    site = (await there.run(static_site, site_spec(write_pages(tmp_path), error="404.html"))).outcome
    assert {
        key: there.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in there.objects()
    } == PAGES
    assert there.s3.head_object(Bucket=BUCKET, Key="style.css")["ContentType"] == "text/css"
    settings = get_bucket_settings.fn(BucketName(bucket=BUCKET))
    assert (settings.website_index, settings.website_error) == ("index.html", "404.html")
    assert settings.policy and settings.policy["Statement"][0]["Resource"] == f"arn:aws:s3:::{BUCKET}/*"
    block = there.s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert [name for name, on in block.items() if not on] == ["BlockPublicPolicy", "RestrictPublicBuckets"]
    assert (site.files, site.url) == (3, f"http://{BUCKET}.s3-website.eu-central-1.amazonaws.com")


async def test_with_a_policy_of_its_own_it_stays_closed_to_all_others(aws: AwsServer, tmp_path: Path) -> None:
    there = Account(aws)
    reader = {"Effect": "Allow", "Principal": {"Service": "cloudfront.amazonaws.com"}, "Action": "s3:GetObject"}
    policy = {"Version": "2012-10-17", "Statement": [{**reader, "Resource": f"arn:aws:s3:::{BUCKET}/*"}]}
    assert (await there.run(static_site, site_spec(write_pages(tmp_path), policy=policy))).failure is None
    settings = get_bucket_settings.fn(BucketName(bucket=BUCKET))
    assert (settings.public_access_blocked, settings.policy) == (True, policy)


async def test_a_plan_changes_nothing_and_names_exactly_what_the_real_run_does(aws: AwsServer, tmp_path: Path) -> None:
    there, folder = Account(aws), write_pages(tmp_path)
    plan = (await there.run(static_site, site_spec(folder, plan=True))).outcome
    assert (there.buckets(), there.mutating()) == ([], [])
    await there.run(static_site, site_spec(folder))
    assert requests_of(plan) == there.mutating() != []
    assert [name for call in plan.planned for name in _names(call.input)] == there.objects()


def _names(input: dict[str, list[dict[str, str]]]) -> list[str]:
    return [file["name"] for file in input.get("uploads", ())]


async def test_left_out_files_are_not_sent(aws: AwsServer, tmp_path: Path) -> None:
    there, folder = Account(aws), write_pages(tmp_path)
    (folder / "notes.tmp").write_text("secret")
    (folder / "link.html").symlink_to("/etc/hostname")
    assert (await there.run(static_site, site_spec(folder, exclude=["*.tmp"]))).outcome.files == 3
    assert there.objects() == sorted(PAGES)


async def test_a_missing_folder_fails_before_anything_is_made(aws: AwsServer, tmp_path: Path) -> None:
    there = Account(aws)
    ended = await there.run(static_site, site_spec(tmp_path / "nowhere"))
    assert ended.failure and ended.failure["step"] == "files"
    assert there.mutating() == []


async def test_keeping_on_failure_lists_bucket_and_files_with_their_commands(aws: AwsServer, tmp_path: Path) -> None:
    there = Account(aws)
    aws.fail("s3:PutObject", status=400, code="InvalidRequest", skip=2)
    ended = await there.run(static_site, site_spec(write_pages(tmp_path), on_failure="keep"))
    assert ended.failure and ended.failure["step"] == "upload"
    assert {one["what"]: one["command"] for one in ended.failure["left"]} == {
        "bucket": f"aws s3api delete-bucket --bucket {BUCKET}",
        "files": f"aws s3 rm --recursive s3://{BUCKET}/",
    }
    assert there.objects() == ["about/index.html", "index.html"]


async def test_what_others_wrote_under_a_pages_name_is_neither_replaced_nor_deleted(
    aws: AwsServer, tmp_path: Path
) -> None:
    there = Account(aws)
    aws.hold("s3:PutBucketWebsite", when="after")
    running = asyncio.create_task(there.run(static_site, site_spec(write_pages(tmp_path))))
    await asyncio.to_thread(aws.wait_held)
    there.s3.put_object(Bucket=BUCKET, Key="style.css", Body=b"theirs")
    aws.release()
    ended = await running
    assert ended.failure and ended.failure["step"] == "upload" and "style.css" in ended.failure["message"]
    assert [one["what"] for one in ended.failure["left"]] == ["bucket"]
    assert there.objects() == ["style.css"]
    assert there.s3.get_object(Bucket=BUCKET, Key="style.css")["Body"].read() == b"theirs"


async def test_a_public_policy_is_tried_again_while_the_loosened_block_still_holds(
    aws: AwsServer, tmp_path: Path
) -> None:
    there, folder = Account(aws), write_pages(tmp_path)
    aws.fail("s3:PutBucketPolicy", status=403, code="AccessDenied", times=3)
    assert (await there.run(static_site, site_spec(folder))).failure is None
    aws.reset()
    aws.fail("s3:PutBucketPolicy", status=403, code="AccessDenied", times=None)
    ended = await there.run(static_site, site_spec(folder))
    assert ended.failure and (ended.failure["step"], ended.failure["left"]) == ("policy", [])
    assert there.buckets() == []
