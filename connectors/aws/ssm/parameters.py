"""The parameter store, by reference: what an activity answers is kept in history, so no answer here holds a value.

An activity of yours that needs one takes the reference and calls `parameter_value` inside; it never returns what it got.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.models import AwsCall
from connectors.aws.ssm._shared import ssm, ssm_pages
from connectors.core import DEFAULT_RETRY, AlreadyExists, Effect, Mutation, NotFound, Permanent, Secret, declare
from dtf_runtime import activity

_IMAGE = re.compile(r"ami-[0-9a-f]{8,17}")


class ParameterName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    """Such as "/shop/database/password"."""


class ParameterReference(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter without its value. `version` pins the value as it was."""

    name: str
    arn: str = ""
    version: int | None = None
    type: str = ""
    """String, StringList, SecureString."""
    modified_at: datetime | None = None
    connection: str = "default"
    region: str | None = None


class PutPlainParameter(ParameterName, frozen=True, kw_only=True, omit_defaults=True):
    """For what is no secret: the value is kept in history."""

    value: str
    overwrite: bool = True
    """Else one that has another value is AlreadyExists."""
    description: str | None = None


class PutParameterResult(Mutation, frozen=True, kw_only=True):
    version: int


class Image(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str


def parameter_value(reference: ParameterReference) -> Secret:
    """Its value, decrypted. For use inside an activity, which must not return it: a Secret can't be a result, its text could.

    Needs ssm:GetParameter, and kms:Decrypt for one that is encrypted with a key of your own. Raises NotFound.
    """
    name = reference.name if reference.version is None else f"{reference.name}:{reference.version}"
    where = ParameterName(name=name, connection=reference.connection, region=reference.region)
    return Secret(ssm(where, "get_parameter", {"Name": name, "WithDecryption": True})["Parameter"]["Value"])


@declare(Effect.READ, permissions=("ssm:DescribeParameters",))
@activity(name="aws.ssm.get_parameter_reference", retry=DEFAULT_RETRY)
def get_parameter_reference(call: ParameterName) -> ParameterReference:
    """Raises NotFound. The value is not even fetched."""
    look = {"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": [call.name]}]}
    for answer in ssm_pages(call, "describe_parameters", look):
        for raw in answer["Parameters"]:
            return _reference(call, raw)
    raise NotFound(f"there is no parameter {call.name!r}", code="ParameterNotFound")


def _reference(call: ParameterName, raw: Mapping[str, Any]) -> ParameterReference:
    return ParameterReference(
        name=raw["Name"],
        arn=raw.get("ARN") or "",
        version=raw.get("Version"),
        type=raw.get("Type") or "",
        modified_at=raw.get("LastModifiedDate"),
        connection=call.connection,
        region=call.region,
    )


@declare(Effect.READ, permissions=("ssm:GetParameter",))
@activity(name="aws.ssm.resolve_image", retry=DEFAULT_RETRY)
def resolve_image(call: ParameterName) -> Image:
    """The image that a parameter names, such as "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64".

    Raises NotFound; Permanent when the value is no image's id, and then it isn't told.
    """
    parameter = ssm(call, "get_parameter", {"Name": call.name})["Parameter"]
    if parameter.get("Type") == "SecureString" or not _IMAGE.fullmatch(parameter.get("Value") or ""):
        raise Permanent(f"parameter {call.name!r} holds no image's id", code="NoImage")
    return Image(image_id=parameter["Value"])


@declare(
    Effect.NATURAL,
    "a parameter that has this value already is what was wanted",
    permissions=("ssm:PutParameter", "ssm:GetParameter"),
)
@activity(name="aws.ssm.put_plain_parameter", retry=DEFAULT_RETRY)
def put_plain_parameter(call: PutPlainParameter) -> PutParameterResult:
    """Of type String. A repeat finds the value there and makes no new version. Raises AlreadyExists unless `overwrite`."""
    try:
        there = ssm(call, "get_parameter", {"Name": call.name})["Parameter"]
        if there.get("Type") == "String" and there.get("Value") == call.value:
            return PutParameterResult(version=there["Version"], replayed=True)
        if not call.overwrite:
            raise AlreadyExists(f"parameter {call.name!r} has another value", code="ParameterAlreadyExists")
    except NotFound:
        pass
    given = {
        "Name": call.name,
        "Value": call.value,
        "Type": "String",
        "Overwrite": call.overwrite,
        "Description": call.description,
    }
    answer = ssm(call, "put_parameter", given, effect=Effect.NATURAL)
    return PutParameterResult(request_id=request_id(answer), version=answer["Version"])


@declare(Effect.NATURAL, "a missing parameter is what was wanted", permissions=("ssm:DeleteParameter",))
@activity(name="aws.ssm.delete_parameter", retry=DEFAULT_RETRY)
def delete_parameter(call: ParameterName) -> Mutation:
    """With all of its versions."""
    try:
        answer = ssm(call, "delete_parameter", {"Name": call.name}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))
