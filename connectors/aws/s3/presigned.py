"""Addresses that grant access to one object for a while. Whoever has one needs no credentials, so it is a secret, and history keeps no secrets.

That is why no activity returns one. Inside an activity of yours, `presigned_url` gives a Secret, for the line that sends it on (a mail, a
message, a request). For a program outside, `write_presigned_url` leaves it in a file that only the worker's user can read.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Literal

from connectors.aws.client import client
from connectors.aws.s3.models import ObjectName
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, Permanent, Secret, declare
from dtf_runtime import activity

_LONGEST = 7 * 24 * 3600.0  # seconds, S3's own limit


class PresignedUrl(ObjectName, frozen=True, kw_only=True, omit_defaults=True):
    method: Literal["GET", "PUT"] = "GET"
    expires: float = 900.0
    """Seconds, at most a week; with a role's credentials it ends when those do, whatever this says."""
    content_type: str | None = None
    """PUT: what the sender must say it is. GET: what the answer shall say."""
    file_name: str | None = None
    """GET: what a browser shall call the file."""


class WritePresignedUrl(PresignedUrl, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    """The file on the worker; one that is there is replaced."""


class WritePresignedUrlResult(Mutation, frozen=True, kw_only=True):
    path: str
    expires_at: datetime


def presigned_url(call: PresignedUrl) -> Secret:
    """For use inside an activity, which must not return what it reveals: a Secret can't be a result, its text could.

    Nothing is sent, and nobody looks whether the object is there. Raises InvalidRequest, AuthenticationFailed (no credentials).
    """
    if not 1 <= call.expires <= _LONGEST:
        raise InvalidRequest(f"expires is 1 second to a week, not {call.expires:g} s")
    given = {"Bucket": call.bucket, "Key": call.key}
    if call.version_id:
        given["VersionId"] = call.version_id
    if call.method == "PUT":
        given |= {"ContentType": call.content_type} if call.content_type else {}
    else:
        given |= {"ResponseContentType": call.content_type} if call.content_type else {}
        given |= {"ResponseContentDisposition": _attachment(call.file_name)} if call.file_name else {}
    sdk = client("s3", call.connection, region=call.region)
    return Secret(
        sdk.generate_presigned_url(f"{call.method.lower()}_object", Params=given, ExpiresIn=int(call.expires))
    )


def _attachment(name: str) -> str:
    from urllib.parse import quote

    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


@declare(Effect.NATURAL, "the file is replaced, by an address that lasts from then on", permissions=("s3:GetObject",))
@activity(name="aws.s3.write_presigned_url", retry=DEFAULT_RETRY)
def write_presigned_url(call: WritePresignedUrl) -> WritePresignedUrlResult:
    """An address to a file with mode 0600, whole or not at all. Uploads (PUT) need s3:PutObject instead. Raises Permanent (`file`)."""
    url = presigned_url(call)
    until = datetime.now(UTC) + timedelta(seconds=int(call.expires))
    part = f"{call.path}.part"
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            os.chmod(part, 0o600)  # one that was left there may have had another
            file.write(url.reveal() + "\n")
        os.replace(part, call.path)
    except OSError as error:
        raise Permanent(f"{call.path} can't be written: {os.strerror(error.errno or 0)}", code="file") from None
    return WritePresignedUrlResult(path=call.path, expires_at=until)
