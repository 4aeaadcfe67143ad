"""Specs and outcomes of the S3 family. Durations in seconds, lifecycle in days, regions and policies as AWS writes them."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.s3 import LifecycleRule
from suborchestrations.steps import Outcome, Spec


class S3Spec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """The base of the family's specs."""

    connection: str = "default"
    """The name of an AwsConnection of the worker."""
    region: str | None = None
    """None: the connection's."""


def _tidy() -> list[LifecycleRule]:
    return [LifecycleRule(id="tidy", expire_old_versions_days=90, abort_uploads_days=7)]


class BucketSpec(S3Spec, frozen=True, kw_only=True, omit_defaults=True):
    """A new bucket; one of that name that is there already is an error. Private, encrypted and versioned unless told otherwise."""

    bucket: str
    """3 to 63 lower-case letters, digits, dots and hyphens; unique in all of AWS."""
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] = "AES256"
    """Of objects that don't say."""
    kms_key_id: str | None = None
    versioning: bool = True
    """Replaced and deleted objects are kept; they cost as much as others."""
    lifecycle: list[LifecycleRule] = msgspec.field(default_factory=_tidy)
    """By default old versions go after 90 days and unfinished uploads after 7. Empty: none."""
    policy: dict[str, Any] | None = None
    """The policy document."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class MadeBucket(Outcome, frozen=True, kw_only=True):
    bucket: str
    arn: str
    run: str = ""
    """The value of the bucket's `dtf:run` tag."""
    cost: str = ""
    """What AWS charges for, in words."""


class SiteSpec(BucketSpec, frozen=True, kw_only=True, omit_defaults=True):
    """A new bucket with a website in it. Everybody may read it, unless `policy` says who."""

    folder: str
    """On the worker, with all files of the site, at most 5 GiB each. Symbolic links in it are left out."""
    index: str = "index.html"
    """What is shown of each folder."""
    error: str | None = None
    """The key of the page that is shown for what is not there."""
    exclude: list[str] = msgspec.field(default_factory=list)
    """Patterns of names that are not sent: "*.tmp", "drafts/*"."""
    cache_control: str | None = None
    """Such as "max-age=300"."""
    batch: int = 100
    """Files that one step of the upload sends, 1 to 1,000."""


class Site(MadeBucket, frozen=True, kw_only=True):
    url: str
    """http: S3 itself serves no https for websites. Empty: the region isn't known."""
    files: int
