"""`provision_bucket` against a server that behaves as S3 does, in virtual time."""

import asyncio

from connectors.aws.s3 import BucketName, get_bucket_settings
from connectors.aws.testing import AwsServer
from suborchestrations.s3 import provision_bucket
from suborchestrations.s3.looking import RUN_TAG
from tests.suborchestrations.s3.world import BUCKET, POLICY, Account, bucket_spec, requests_of


async def test_the_bucket_is_private_encrypted_versioned_tidied_and_marked(aws: AwsServer) -> None:
    there = Account(aws)
    made = (await there.run(provision_bucket, bucket_spec(tags={"team": "web"}))).outcome
    settings = get_bucket_settings.fn(BucketName(bucket=BUCKET))
    assert (settings.public_access_blocked, settings.encryption, settings.versioning) == (True, "AES256", "Enabled")
    assert [(rule.expire_old_versions_days, rule.abort_uploads_days) for rule in settings.lifecycle] == [(90, 7)]
    assert settings.policy == POLICY
    tags = {tag["Key"]: tag["Value"] for tag in there.s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert (tags["team"], tags[RUN_TAG]) == ("web", made.run)
    assert (made.bucket, made.arn) == (BUCKET, f"arn:aws:s3:::{BUCKET}")


async def test_what_is_not_asked_for_is_not_set(aws: AwsServer) -> None:
    there = Account(aws)
    spec = bucket_spec(versioning=False, lifecycle=[], policy=None)
    assert (await there.run(provision_bucket, spec)).failure is None
    assert there.mutating() == ["CreateBucket", "PutPublicAccessBlock", "PutBucketEncryption"]


async def test_a_plan_changes_nothing_and_names_exactly_what_the_real_run_does(aws: AwsServer) -> None:
    there = Account(aws)
    plan = (await there.run(provision_bucket, bucket_spec(plan=True))).outcome
    assert (there.buckets(), there.mutating()) == ([], [])
    await there.run(provision_bucket, bucket_spec())
    assert requests_of(plan) == there.mutating() != []


async def test_a_bucket_that_others_made_is_left_as_it_is(aws: AwsServer) -> None:
    there = Account(aws)
    there.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    ended = await there.run(provision_bucket, bucket_spec())
    assert ended.failure and (ended.failure["step"], ended.failure["left"]) == ("bucket", [])
    assert (there.buckets(), there.mutating()) == ([BUCKET], [])


async def test_a_bucket_of_another_account_is_not_asked_about_again(aws: AwsServer) -> None:
    there = Account(aws)
    aws.fail("s3:HeadBucket", status=403, code="403", times=None)
    aws.fail("s3:GetBucketTagging", status=403, code="AccessDenied", times=None)
    aws.fail("s3:CreateBucket", status=409, code="BucketAlreadyExists", times=None)
    ended = await there.run(provision_bucket, bucket_spec())
    assert ended.failure and (ended.failure["step"], ended.failure["left"]) == ("bucket", [])
    assert "s3:DeleteBucket" not in ended.calls


async def test_keeping_on_failure_says_which_bucket_is_left_and_the_command_that_removes_it(aws: AwsServer) -> None:
    there = Account(aws)
    aws.fail("s3:PutBucketPolicy", status=400, code="MalformedPolicy")
    ended = await there.run(provision_bucket, bucket_spec(on_failure="keep", region="eu-central-1"))
    assert ended.failure and ended.failure["step"] == "policy"
    command = f"aws s3api delete-bucket --bucket {BUCKET} --region eu-central-1"
    assert ended.failure["left"] == [{"what": "bucket", "id": BUCKET, "command": command}]
    assert there.buckets() == [BUCKET]


async def test_a_bucket_into_which_others_wrote_meanwhile_stays_and_is_listed(aws: AwsServer) -> None:
    there = Account(aws)
    aws.hold("s3:PutBucketPolicy", when="before")
    aws.fail("s3:PutBucketPolicy", status=400, code="MalformedPolicy")
    running = asyncio.create_task(there.run(provision_bucket, bucket_spec()))
    await asyncio.to_thread(aws.wait_held)
    there.s3.put_object(Bucket=BUCKET, Key="theirs", Body=b"precious")
    aws.release()
    ended = await running
    assert ended.failure and [one["what"] for one in ended.failure["left"]] == ["bucket"]
    assert there.objects() == ["theirs"]
