"""What goes into the object activities and what comes out. Sizes in bytes, instants aware UTC, ETags without quotes.

A small body may be carried in the call, and then is in history; a larger one is named by its file on the worker.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from connectors.aws.models import AwsCall
from connectors.core import Mutation

StorageClass = Literal[
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"
]


class NewObject(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of an object when it is made."""

    bucket: str
    key: str
    """At most 1,024 bytes of UTF-8."""
    existing: Literal["refuse", "replace"] = "refuse"
    """What to do with an object of that key which another call made. "replace" takes away the one that it saw, and no other."""
    content_type: str | None = None
    """None: binary/octet-stream."""
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """ASCII, lower-case names; `dtf-key` and `dtf-sha256` are this connector's own."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    """At most 10."""
    storage_class: StorageClass | None = None
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """None: as the bucket says."""
    kms_key_id: str | None = None


class PutObject(NewObject, frozen=True, kw_only=True, omit_defaults=True):
    """One of `body`, `text` and `path`."""

    body: bytes | None = None
    text: str | None = None
    """Sent as UTF-8."""
    path: str | None = None
    """A file on the worker, at most 5 GiB; `upload_file` takes larger ones, in parts."""
    if_match: str | None = None
    """Replaces the object of this ETag alone, whatever `existing` says."""


class PutObjectResult(Mutation, frozen=True, kw_only=True):
    etag: str
    version_id: str
    """Empty: the bucket keeps no versions."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digits. S3 has checked it before it stored the object."""


class ObjectName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    key: str
    version_id: str | None = None
    """None: the current one."""


class GetObject(ObjectName, frozen=True, kw_only=True, omit_defaults=True):
    """The bytes come back in the result, so they are in history; `download_object` writes a file."""

    first: int | None = None
    """Bytes `first` to `last`, both included, counted from 0."""
    last: int | None = None
    if_match: str | None = None
    """An ETag: another object is a Conflict."""
    max_bytes: int = 1024 * 1024
    """A larger answer is BodyTooLarge, and is not read."""


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An object without its bytes."""

    key: str
    etag: str
    size: int
    """Bytes."""
    modified_at: datetime
    version_id: str = ""
    content_type: str = ""
    storage_class: str = "STANDARD"
    encryption: str = ""
    sha256: str = ""
    """Hex digits, of the whole object; empty when nobody said at the upload."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)


class GetObjectResult(ObjectInfo, frozen=True, kw_only=True):
    """`size` is that of the whole object."""

    body: bytes


class DownloadObject(ObjectName, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    """A file on the worker, written whole or not at all. While it is fetched, `path` with `.part` behind it holds what is there."""
    max_bytes: int = 1024**4
    sha256: str | None = None
    """Hex digits. None: the one that was noted at the upload, if any."""


class DownloadResult(Mutation, frozen=True, kw_only=True):
    """`replayed`: nothing was left to fetch."""

    path: str
    object: ObjectInfo
    resumed_at: int
    """Bytes that an earlier delivery had fetched."""
    verified: bool
    """The file's SHA-256 was compared with one that is known."""


class CopyObject(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Within S3, at most 5 GiB. Metadata, type and the like go along."""

    source_bucket: str
    source_key: str
    source_version_id: str | None = None
    bucket: str
    key: str
    existing: Literal["refuse", "replace"] = "refuse"
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Added to the source's."""
    storage_class: StorageClass | None = None
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None


class DeleteObject(ObjectName, frozen=True, kw_only=True, omit_defaults=True):
    """Without a version: in a bucket that keeps versions the object is hidden by a delete marker, and each repeat puts another on top."""

    if_match: str | None = None
    """An ETag: another object is a Conflict, and stays."""


class DeleteObjectResult(Mutation, frozen=True, kw_only=True):
    version_id: str
    """Of what was deleted, or of the delete marker that was made."""
    delete_marker: bool


class ObjectVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    key: str
    version_id: str | None = None


class DeleteObjects(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    objects: list[ObjectVersion]
    """1 to 1,000."""


class NotDeleted(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    version_id: str
    code: str
    """AWS's, such as AccessDenied."""


class DeleteObjectsResult(Mutation, frozen=True, kw_only=True):
    deleted: int
    failed: list[NotDeleted]
    """Refused for good. Anything that may pass is Transient instead, and the whole call is repeated, which is harmless."""


class ListObjects(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    """Such as "/": keys that go on behind it are told as one of `prefixes`."""
    page_size: int = 1000
    """1 to 1,000."""
    start_after: str = ""
    """A key."""
    page: str = ""
    """`next_page` of the page before."""


class ListedObject(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    etag: str
    size: int
    """Bytes."""
    modified_at: datetime
    storage_class: str


class ListObjectsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Keys in the order of their UTF-8 bytes."""

    objects: list[ListedObject]
    prefixes: list[str]
    next_page: str
    """Empty: this was the last."""


class ListObjectVersions(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    prefix: str = ""
    page_size: int = 1000
    page: str = ""
    """`next_page` of the page before."""


class ListedVersion(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    version_id: str
    is_latest: bool
    delete_marker: bool
    size: int
    """Bytes."""


class ListObjectVersionsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Versions and delete markers: all that has to go before a bucket can."""

    versions: list[ListedVersion]
    next_page: str
