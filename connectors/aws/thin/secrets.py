"""Secrets Manager, by reference: what an activity answers is kept in history, so no answer here holds a value."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.aws.client import aws_call
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import NotFound, Secret


class SecretName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    """Name or ARN."""
    stage: str = "AWSCURRENT"
    """Or AWSPREVIOUS, AWSPENDING, or a label of yours."""


class SecretReference(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without its value. `version_id` pins the value as it was."""

    arn: str
    name: str
    version_id: str
    modified_at: datetime | None = None
    rotates: bool = False
    connection: str = "default"
    region: str | None = None


def send(call: SecretName, key: str) -> dict[str, Any]:
    return {"SecretId": call.name}


def read(call: SecretName, key: str, answer: Answer) -> SecretReference:
    stages = answer.get("VersionIdsToStages") or {}
    version = next((name for name, labels in stages.items() if call.stage in labels), None)
    if version is None:
        raise NotFound(f"the secret {call.name} has no version that is {call.stage}", code="ResourceNotFoundException")
    return SecretReference(
        arn=answer["ARN"],
        name=answer.get("Name") or "",
        version_id=version,
        modified_at=answer.get("LastChangedDate"),
        rotates=bool(answer.get("RotationEnabled")),
        connection=call.connection,
        region=call.region,
    )


def secret_value(reference: SecretReference) -> Secret:
    """Its value. For use inside an activity, which must not return it: a Secret can't be a result, its text could.

    Needs secretsmanager:GetSecretValue, and kms:Decrypt for one that is encrypted with a key of your own. Raises NotFound.
    """
    given = {"SecretId": reference.arn, "VersionId": reference.version_id}
    answer = aws_call(
        "secretsmanager", "get_secret_value", given, connection=reference.connection, region=reference.region
    )
    text = answer.get("SecretString")
    return Secret(text if text is not None else bytes(answer["SecretBinary"]).decode("latin-1"))
