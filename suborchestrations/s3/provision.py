"""`provision_bucket`: a bucket with secure settings, or none.

bucket -> public-access block -> encryption -> versioning -> lifecycle -> policy. The bucket carries the `dtf:run` tag from the request that makes
it, so that undoing finds it whatever was lost on the way. A bucket of somebody else, or with anything in it, is never deleted.
"""

import asyncio
from hashlib import blake2b
from typing import Any

from connectors.aws.s3 import (
    BucketName,
    CreateBucket,
    CreateBucketResult,
    PutBucketEncryption,
    PutBucketLifecycle,
    PutBucketPolicy,
    PutBucketVersioning,
    PutPublicAccessBlock,
    create_bucket,
    delete_bucket,
    put_bucket_encryption,
    put_bucket_lifecycle,
    put_bucket_policy,
    put_bucket_versioning,
    put_public_access_block,
)
from connectors.core import AlreadyExists, AuthenticationFailed, Mutation
from dtf_runtime import Activity, OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.s3.looking import RUN_TAG, is_made_by
from suborchestrations.s3.models import BucketSpec, MadeBucket
from suborchestrations.steps import Leftover, Steps

STEPS = ("bucket", "public access", "encryption", "versioning", "lifecycle", "policy")
_LOOSENING = 4  # times that a public policy is tried
COST = "what is stored by the GiB and month, old versions too; requests"


@orchestration(name="suborchestrations.s3.provision_bucket", version="1")
async def provision_bucket(ctx: OrchestrationContext, spec: BucketSpec) -> MadeBucket:
    """Makes a bucket. Fails with StepFailedError, by default after deleting it again, if this run made it and nothing is in it."""
    async with Steps(ctx, spec, STEPS) as steps:
        making = Making(ctx, spec, steps)
        await making.bucket()
        await making.settings(public=False, policy=spec.policy)
        return MadeBucket(
            planned=steps.planned, bucket=spec.bucket, arn=f"arn:aws:s3:::{spec.bucket}", run=making.run, cost=COST
        )


class Making:
    """One run of it, and the first part of `static_site`."""

    def __init__(self, ctx: OrchestrationContext, spec: BucketSpec, steps: Steps) -> None:
        self.spec, self.steps = spec, steps
        # Of this execution, so that a restart under the same id has another.
        self.run = blake2b(f"{ctx.instance_id}\0{ctx.execution_id}".encode(), digest_size=10).hexdigest()
        self.where: dict[str, Any] = {"connection": spec.connection, "region": spec.region, "bucket": spec.bucket}
        self.name = BucketName(**self.where)

    async def bucket(self) -> None:
        name = self.spec.bucket
        try:
            await self.steps.make(
                "bucket",
                create_bucket,
                CreateBucket(tags={**self.spec.tags, RUN_TAG: self.run}, **self.where),
                assumed=CreateBucketResult(bucket=name, created=True),
                undo=self.remove_bucket,
                left=lambda: [self.left("bucket", name, f"aws s3api delete-bucket --bucket {name}")],
                detail=lambda made: made.bucket,
            )
        except TaskFailedError as error:
            if error.failure.is_caused_by(AlreadyExists):
                self.steps.keep("bucket")  # it is not this run's, and perhaps somebody else's
            raise

    async def settings(self, *, public: bool, policy: dict[str, Any] | None) -> None:
        """`public`: a policy may open it to everybody. ACLs never may."""
        spec = self.spec
        block = PutPublicAccessBlock(
            just_made=True, block_public_policy=not public, restrict_public_buckets=not public, **self.where
        )
        await self.put("public access", put_public_access_block, block)
        encryption = PutBucketEncryption(
            just_made=True,
            algorithm=spec.encryption,
            kms_key_id=spec.kms_key_id,
            bucket_key=spec.encryption != "AES256",
            **self.where,
        )
        await self.put("encryption", put_bucket_encryption, encryption)
        if spec.versioning:
            versioning = PutBucketVersioning(just_made=True, enabled=True, **self.where)
            await self.put("versioning", put_bucket_versioning, versioning)
        else:
            self.steps.skip("versioning")
        if spec.lifecycle:
            lifecycle = PutBucketLifecycle(just_made=True, rules=spec.lifecycle, **self.where)
            await self.put("lifecycle", put_bucket_lifecycle, lifecycle)
        else:
            self.steps.skip("lifecycle")
        if policy is not None:
            await self.policy(
                PutBucketPolicy(just_made=True, policy=policy, **self.where), patience=_LOOSENING if public else 1
            )
        else:
            self.steps.skip("policy")

    async def policy(self, setting: PutBucketPolicy, patience: int) -> None:
        """A public one is refused for a while after the public-access block was loosened."""
        for tried in range(1, patience + 1):
            try:
                await self.put("policy", put_bucket_policy, setting)
                return
            except TaskFailedError as error:
                if tried == patience or not error.failure.is_caused_by(AuthenticationFailed):
                    raise
            self.steps.fell_back("policy", "refused; perhaps the public-access block still holds")
            await asyncio.sleep(self.spec.poll_interval)

    async def put(self, name: str, activity: Activity[[Any], Mutation], setting: Any) -> None:
        """A setting goes with the bucket, so it has no undo of its own."""
        await self.steps.make(name, activity, setting, assumed=Mutation())

    async def remove_bucket(self) -> None:
        if await is_made_by(self.run, self.name, self.spec.poll_interval):
            await delete_bucket(self.name)

    def left(self, what: str, id_: str, command: str) -> Leftover:
        region = f" --region {self.spec.region}" if self.spec.region else ""
        return Leftover(what=what, id=id_, command=command + region)
