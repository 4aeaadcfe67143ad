"""What the S3 activities share: calls of this service, the mark that an object carries, digests as S3 writes them, look-ups.

Every object that is made here carries `dtf-key` in its metadata: the key of the call that made it. A repeat that finds it adopts the object.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

from connectors.aws.client import aws_call
from connectors.aws.errors import mapped
from connectors.aws.models import AwsCall
from connectors.core import Conflict, Effect, InvalidRequest, NotFound

KEY_METADATA = "dtf-key"
"""`x-amz-meta-dtf-key`: the idempotency key of the call that made the object, 32 hex digits."""
SHA256_METADATA = "dtf-sha256"
"""`x-amz-meta-dtf-sha256`: of the whole object, hex digits; S3's own checksum of a multipart object is one of its parts' checksums."""
PIECE = 1024 * 1024
"""Bytes read from a file or an answer at a time."""
MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


def s3(call: AwsCall, operation: str, parameters: Mapping[str, Any], *, effect: Effect = Effect.READ) -> dict[str, Any]:
    return aws_call("s3", operation, parameters, connection=call.connection, region=call.region, effect=effect)


def head(call: AwsCall, bucket: str, key: str, version_id: str | None = None) -> dict[str, Any] | None:
    """None: there is no such object."""
    try:
        given = {"Bucket": bucket, "Key": key, "VersionId": version_id, "ChecksumMode": "ENABLED"}
        return s3(call, "head_object", given)
    except NotFound:
        return None


def made_by(found: Mapping[str, Any] | None, key: str) -> bool:
    """Whether the call of that key made the object."""
    return found is not None and (found.get("Metadata") or {}).get(KEY_METADATA) == key


def is_refused_condition(error: Conflict) -> bool:
    """S3's 412: the object is there, or is another than the request assumed."""
    return error.code in ("PreconditionFailed", "412")


def plain_etag(text: str | None) -> str:
    return (text or "").strip('"')


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def sha256_of(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


@contextmanager
def opened(path: str) -> Iterator[BufferedReader]:
    """A file on the worker, to be read. Raises InvalidRequest for one that can't be."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise InvalidRequest(f"the file {path} can't be read: {os.strerror(error.errno or 0)}", code="file") from None
    with file:
        yield file


@contextmanager
def receiving(operation: str = "get_object") -> Iterator[None]:
    """botocore's errors from reading a body, which comes after the call, as the kit's."""
    try:
        yield
    except Exception as error:
        found = mapped(error, service="s3", operation=operation, effect=Effect.READ)
        if found is None:
            raise
        raise found from None
