"""boto3 itself, for what is tested below the activities, and the shape of a test that moto alone fails."""

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest

from connectors.aws.testing import REGION, AwsServer

IMAGE = "ami-12c6146b"  # one of moto's own
Check = Callable[[AwsServer], None]


def raw(aws: AwsServer, service: str, *, region: str = REGION, key: str = "AKIARAW") -> Any:
    """A client that never repeats by itself."""
    return _client(aws.endpoint_url, service, region, key)


@lru_cache
def _client(endpoint_url: str, service: str, region: str, key: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def refused(code: str, call: Callable[..., Any], **given: Any) -> None:
    """The call ends with that code of AWS's. One that succeeds, or another code, fails the test."""
    from botocore.exceptions import ClientError

    try:
        call(**given)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"refused with {found}, not {code}"
    else:
        raise AssertionError(f"went through, where AWS says {code}")


def launch(aws: AwsServer, *, region: str = REGION, **given: Any) -> str:
    """An instance, pending; its id."""
    asked = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | given
    return str(raw(aws, "ec2", region=region).run_instances(**asked)["Instances"][0]["InstanceId"])


def state(aws: AwsServer, instance_id: str) -> str:
    found = raw(aws, "ec2").describe_instances(InstanceIds=[instance_id])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def public_key() -> bytes:
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(range(32))
    return b"ssh-ed25519 " + base64.b64encode(blob) + b" test"


ROWS: dict[str, str] = {}
"""The rows of the README's table that have a test, and its name."""


def behaviour(row: str) -> Callable[[Check], Callable[[AwsServer, AwsServer], None]]:
    """A test of one row of the table: moto alone must fail it, ours must pass it."""

    def make(check: Check) -> Callable[[AwsServer, AwsServer], None]:
        def test(aws: AwsServer, plain_aws: AwsServer) -> None:
            from botocore.exceptions import ClientError

            with pytest.raises((AssertionError, ClientError)):
                check(plain_aws)
            check(aws)

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        ROWS[row] = check.__name__
        return test

    return make
