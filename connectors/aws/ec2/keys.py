"""Key pairs. Only public keys go to AWS: nothing here makes a private one, which would end in history.

ImportKeyPair takes no token, but a key pair's name is unique in its region: a repeat is refused, and the `dtf:key` tag of the key pair that
is in the way tells whether this call made it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, tagged
from connectors.aws.models import KEY_TAG, AwsCall, tag_dict
from connectors.core import DEFAULT_RETRY, AlreadyExists, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity


class ImportKeyPair(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    public_key: str
    """As in authorized_keys: "ssh-ed25519 AAAA... comment"."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    existing: Literal["refuse", "use"] = "refuse"
    """What to do with a key pair of that name which another call made. "use" still refuses one that holds another key."""


class ImportKeyPairResult(Mutation, frozen=True, kw_only=True):
    key_pair_id: str
    fingerprint: str
    created: bool
    """Made by this call, in this delivery or an earlier one: what a compensation may delete."""


class KeyPairName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    key_pair_id: str
    fingerprint: str
    type: str
    """rsa or ed25519."""
    tags: Mapping[str, str]


@declare(
    Effect.LOOKUP,
    "the name is unique; a key pair in the way is adopted when its dtf:key tag is this call's",
    permissions=("ec2:ImportKeyPair", "ec2:CreateTags", "ec2:DescribeKeyPairs"),
)
@activity(name="aws.ec2.import_key_pair", retry=DEFAULT_RETRY)
def import_key_pair(call: ImportKeyPair) -> ImportKeyPairResult:
    """Raises AlreadyExists when another call made a key pair of that name, unless `existing="use"` and it is the same key."""
    key = call_key(call)
    given = {
        "KeyName": call.name,
        "PublicKeyMaterial": call.public_key.encode(),
        "TagSpecifications": tagged("key-pair", call.tags, key),
    }
    try:
        answer = ec2(call, "import_key_pair", given, effect=Effect.LOOKUP)
    except AlreadyExists:
        found = _described(call, call.name)
        mine = found is not None and tag_dict(found.get("Tags")).get(KEY_TAG) == key
        if found is None or not (mine or (call.existing == "use" and _same(found.get("PublicKey"), call.public_key))):
            raise
        return ImportKeyPairResult(
            key_pair_id=found.get("KeyPairId") or "",
            fingerprint=found.get("KeyFingerprint") or "",
            created=mine,
            replayed=mine,
        )
    return ImportKeyPairResult(
        request_id=request_id(answer),
        key_pair_id=answer.get("KeyPairId") or "",
        fingerprint=answer.get("KeyFingerprint") or "",
        created=True,
    )


@declare(Effect.NATURAL, "a missing key pair is what was wanted", permissions=("ec2:DeleteKeyPair",))
@activity(name="aws.ec2.delete_key_pair", retry=DEFAULT_RETRY)
def delete_key_pair(call: KeyPairName) -> Mutation:
    """Running instances keep the key."""
    try:
        answer = ec2(call, "delete_key_pair", {"KeyName": call.name}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ec2:DescribeKeyPairs",))
@activity(name="aws.ec2.describe_key_pair", retry=DEFAULT_RETRY)
def describe_key_pair(call: KeyPairName) -> KeyPair:
    """Raises NotFound."""
    found = _described(call, call.name)
    if found is None:
        raise NotFound(f"there is no key pair {call.name!r}", code="InvalidKeyPair.NotFound")
    return KeyPair(
        name=call.name,
        key_pair_id=found.get("KeyPairId") or "",
        fingerprint=found.get("KeyFingerprint") or "",
        type=found.get("KeyType") or "",
        tags=tag_dict(found.get("Tags")),
    )


def _described(call: AwsCall, name: str) -> dict[str, Any] | None:
    try:
        pairs = ec2(call, "describe_key_pairs", {"KeyNames": [name], "IncludePublicKey": True})["KeyPairs"]
    except NotFound:
        return None
    return pairs[0] if pairs else None


def _same(there: str | None, wanted: str) -> bool:
    """The comment is not part of a key."""
    return there is not None and there.split()[:2] == wanted.split()[:2]
