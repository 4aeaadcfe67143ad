"""Writing an object once. The request says what may be in its place, so that neither a repeat nor another writer is ever overwritten unseen;
what is in its place and carries this call's key was made by an earlier delivery, and is adopted.

Source: S3 User Guide, "How to prevent object overwrites with conditional writes".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connectors.aws.models import AwsCall
from connectors.aws.s3._shared import head, is_refused_condition, made_by, plain_etag
from connectors.core import AlreadyExists, Conflict, NotFound, Transient

_ROUNDS = 3
Answer = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where an object goes, whose it will be, and what may be there before."""

    call: AwsCall
    bucket: str
    key: str
    mark: str
    """The key that the object carries."""
    existing: Literal["refuse", "replace"] = "refuse"
    if_match: str | None = None
    """Without quotes."""

    def head(self) -> Answer | None:
        return head(self.call, self.bucket, self.key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def write(place: Place, send: Callable[[Mapping[str, str]], Answer]) -> tuple[Answer, bool]:
    """`send` makes the request with these conditions added. Its answer and False; or what `head_object` says of the object that an earlier
    delivery made, and True.

    Raises AlreadyExists (something is there), Conflict (not what `if_match` said), Transient (others kept writing in between).
    """
    if place.if_match is not None:
        return _replace_one(place, send, place.if_match)
    if place.existing == "replace":
        return _replace_any(place, send)
    try:
        return send({"IfNoneMatch": "*"}), False
    except Conflict as error:
        if not is_refused_condition(error):
            raise
        found = _after(place, error)
        if found is not None:
            return found, True
        raise AlreadyExists(
            f'{place} is there already, and another call made it; existing="replace" would replace it',
            code=error.code,
            status=error.status,
            request_id=error.request_id,
        ) from None


def _replace_one(place: Place, send: Callable[[Mapping[str, str]], Answer], etag: str) -> tuple[Answer, bool]:
    try:
        return send({"IfMatch": f'"{etag}"'}), False
    except (Conflict, NotFound) as error:
        if not (isinstance(error, NotFound) and error.code == "NoSuchKey") and not _is_refused(error):
            raise
        found = place.head()
        if made_by(found, place.mark):
            return found or {}, True
        raise Conflict(
            f"{place} is not the object that if_match names",
            code=error.code,
            status=error.status,
            request_id=error.request_id,
        ) from None


def _replace_any(place: Place, send: Callable[[Mapping[str, str]], Answer]) -> tuple[Answer, bool]:
    """It looks first: a repeat must not overwrite what others wrote after the first time, nor make another version."""
    for _ in range(_ROUNDS):
        found = place.head()
        if found is not None and made_by(found, place.mark):
            return found, True
        condition = {"IfNoneMatch": "*"} if found is None else {"IfMatch": f'"{plain_etag(found["ETag"])}"'}
        try:
            return send(condition), False
        except (Conflict, NotFound) as error:
            if not (isinstance(error, NotFound) and error.code == "NoSuchKey") and not _is_refused(error):
                raise
    raise Transient(f"{place} was written by others each time before it could be replaced", code="PreconditionFailed")


def _is_refused(error: Exception) -> bool:
    return isinstance(error, Conflict) and is_refused_condition(error)


def _after(place: Place, error: Conflict) -> Answer | None:
    found = place.head()
    if found is None:
        raise Transient(f"{place} was in the way and is gone again", code=error.code, status=error.status)
    return found if made_by(found, place.mark) else None
