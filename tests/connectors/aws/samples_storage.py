"""One call of every activity of S3 that changes an account, with what must be there before it."""

import atexit
import tempfile
from functools import lru_cache
from pathlib import Path

from connectors.aws import s3
from connectors.aws.s3.sync import PlannedFile
from tests.connectors.aws.samples import Sample

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shelf/*"}],
}


@lru_cache
def folder() -> Path:
    """With one file, `page.html`."""
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    (Path(made.name) / "page.html").write_bytes(b"<p>hello</p>")
    return Path(made.name)


def bucket() -> str:
    s3.create_bucket.fn(s3.CreateBucket(bucket="shelf"))
    return "shelf"


def book() -> str:
    """A bucket with an object."""
    s3.put_object.fn(s3.PutObject(bucket=bucket(), key="book", text="Once upon a time"))
    return "shelf"


def upload() -> s3.CreateUploadResult:
    return s3.create_upload.fn(s3.CreateUpload(bucket=bucket(), key="parts", known=[]))  # type: ignore[no-any-return]


def part() -> s3.UploadPart:
    page = folder() / "page.html"
    facts = page.stat()
    return s3.UploadPart(
        bucket="shelf",
        key="parts",
        upload_id=upload().upload_id,
        number=1,
        path=str(page),
        offset=0,
        size=facts.st_size,
        file_size=facts.st_size,
        modified_ns=facts.st_mtime_ns,
    )


def complete() -> s3.CompleteUpload:
    begun = upload()
    facts = (folder() / "page.html").stat()
    sent = s3.upload_part.fn(
        s3.UploadPart(
            bucket="shelf",
            key="parts",
            upload_id=begun.upload_id,
            number=1,
            path=str(folder() / "page.html"),
            offset=0,
            size=facts.st_size,
            file_size=facts.st_size,
            modified_ns=facts.st_mtime_ns,
        )
    )
    return s3.CompleteUpload(bucket="shelf", key="parts", upload_id=begun.upload_id, parts=[sent.part], mark=begun.mark)


def batch() -> s3.SyncBatch:
    facts = (folder() / "page.html").stat()
    planned = PlannedFile(
        name="page.html",
        size=facts.st_size,
        modified_ns=facts.st_mtime_ns,
        content_type="text/html",
        replaces=None,
    )
    return s3.SyncBatch(path=str(folder()), bucket=bucket(), prefix="site/", uploads=[planned], deletes=[])


S3 = (
    Sample(s3.create_bucket, "s3:CreateBucket", lambda aws: s3.CreateBucket(bucket="shelf", tags={"team": "blue"})),
    Sample(s3.delete_bucket, "s3:DeleteBucket", lambda aws: s3.BucketName(bucket=bucket())),
    Sample(
        s3.put_bucket_versioning,
        "s3:PutBucketVersioning",
        lambda aws: s3.PutBucketVersioning(bucket=bucket(), enabled=True),
    ),
    Sample(
        s3.put_bucket_encryption,
        "s3:PutBucketEncryption",
        lambda aws: s3.PutBucketEncryption(bucket=bucket(), algorithm="aws:kms"),
    ),
    Sample(
        s3.put_public_access_block,
        "s3:PutPublicAccessBlock",
        lambda aws: s3.PutPublicAccessBlock(bucket=bucket(), restrict_public_buckets=False),
    ),
    Sample(s3.put_bucket_policy, "s3:PutBucketPolicy", lambda aws: s3.PutBucketPolicy(bucket=bucket(), policy=POLICY)),
    Sample(
        s3.put_bucket_lifecycle,
        "s3:PutBucketLifecycleConfiguration",
        lambda aws: s3.PutBucketLifecycle(bucket=bucket(), rules=[s3.LifecycleRule(id="old", expire_days=30)]),
    ),
    Sample(
        s3.put_bucket_website,
        "s3:PutBucketWebsite",
        lambda aws: s3.PutBucketWebsite(bucket=bucket(), index="index.html"),
    ),
    Sample(s3.put_object, "s3:PutObject", lambda aws: s3.PutObject(bucket=bucket(), key="book", text="Once")),
    Sample(
        s3.copy_object,
        "s3:CopyObject",
        lambda aws: s3.CopyObject(source_bucket=book(), source_key="book", bucket="shelf", key="copy"),
    ),
    Sample(s3.delete_object, "s3:DeleteObject", lambda aws: s3.DeleteObject(bucket=book(), key="book")),
    Sample(
        s3.delete_objects,
        "s3:DeleteObjects",
        lambda aws: s3.DeleteObjects(bucket=book(), objects=[s3.ObjectVersion(key="book")]),
    ),
    Sample(
        s3.create_upload,
        "s3:CreateMultipartUpload",
        lambda aws: s3.CreateUpload(bucket=bucket(), key="parts", known=[]),
    ),
    Sample(s3.upload_part, "s3:UploadPart", lambda aws: part()),
    Sample(s3.complete_upload, "s3:CompleteMultipartUpload", lambda aws: complete()),
    Sample(
        s3.abort_upload,
        "s3:AbortMultipartUpload",
        lambda aws: s3.Upload(bucket="shelf", key="parts", upload_id=upload().upload_id),
    ),
    Sample(s3.sync_batch, "s3:PutObject", lambda aws: batch()),
)
