"""Buckets and websites on S3. Loads no boto3."""

from suborchestrations.s3.emptying import Emptied, EmptyBucketSpec, empty_and_delete_bucket
from suborchestrations.s3.looking import Folder, FolderFiles, bucket_tags, folder_files
from suborchestrations.s3.models import BucketSpec, MadeBucket, S3Spec, Site, SiteSpec
from suborchestrations.s3.provision import provision_bucket
from suborchestrations.s3.site import static_site

ACTIVITIES = (bucket_tags, folder_files)
ORCHESTRATIONS = (provision_bucket, empty_and_delete_bucket, static_site)

__all__ = [
    "ACTIVITIES",
    "ORCHESTRATIONS",
    "BucketSpec",
    "Emptied",
    "EmptyBucketSpec",
    "Folder",
    "FolderFiles",
    "MadeBucket",
    "S3Spec",
    "Site",
    "SiteSpec",
    "bucket_tags",
    "empty_and_delete_bucket",
    "folder_files",
    "provision_bucket",
    "static_site",
]
