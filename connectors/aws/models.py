"""What the inputs of all AWS activities have in common, and how tags are written.

Inputs and outputs are stored in the instance's history, in clear: user data, commands and descriptions hold no secrets.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

KEY_TAG = "dtf:key"
"""On everything that an activity made: the idempotency key of the call that made it, 32 hex digits. It is what a repeat looks for, and
who finds a resource with it knows that a workflow of this framework made it."""


class AwsCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every input."""

    connection: str = "default"
    """The name of an AwsConnection of the worker."""
    region: str | None = None
    """Such as "eu-west-1"; without one the connection's."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a describe call: any of `values`; several filters must all hold. `name` as AWS writes it: "tag:team", "vpc-id"."""

    name: str
    values: list[str]


def filters(conditions: Iterable[Filter]) -> list[dict[str, Any]] | None:
    return [{"Name": one.name, "Values": one.values} for one in conditions] or None


def tag_list(tags: Mapping[str, str], key: str = "") -> list[dict[str, str]]:
    """AWS's form of tags, with the key's tag among them when there is one."""
    all_tags = {**tags, KEY_TAG: key} if key else tags
    return [{"Key": name, "Value": value} for name, value in all_tags.items()]


def tag_dict(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
