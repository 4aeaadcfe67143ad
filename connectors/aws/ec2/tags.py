"""Tags of any EC2 resource, by id."""

from collections.abc import Mapping

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2
from connectors.aws.models import AwsCall, tag_list
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, NotFound, declare
from dtf_runtime import activity


class SetTags(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    resource_ids: list[str]
    tags: Mapping[str, str]
    """Others of the resource stay."""
    just_made: bool = False
    """Made moments ago: while EC2 doesn't see it yet, that is Transient."""


class RemoveTags(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    resource_ids: list[str]
    names: list[str]


@declare(Effect.NATURAL, "the request says how it shall be", permissions=("ec2:CreateTags",))
@activity(name="aws.ec2.set_tags", retry=DEFAULT_RETRY)
def set_tags(call: SetTags) -> Mutation:
    """Adds or overwrites. Raises NotFound, and then none was changed."""
    if not call.resource_ids or not call.tags:
        raise InvalidRequest("set_tags needs resources and tags")
    given = {"Resources": call.resource_ids, "Tags": tag_list(call.tags)}
    answer = ec2(call, "create_tags", given, effect=Effect.NATURAL, just_made=call.just_made)
    return Mutation(request_id=request_id(answer))


@declare(Effect.NATURAL, "a missing tag is what was wanted", permissions=("ec2:DeleteTags",))
@activity(name="aws.ec2.remove_tags", retry=DEFAULT_RETRY)
def remove_tags(call: RemoveTags) -> Mutation:
    """Whatever the tags' values are."""
    if not call.resource_ids or not call.names:  # no tags at all would remove every one
        raise InvalidRequest("remove_tags needs resources and names of tags")
    given = {"Resources": call.resource_ids, "Tags": [{"Key": name} for name in call.names]}
    try:
        answer = ec2(call, "delete_tags", given, effect=Effect.NATURAL)
    except NotFound:  # EC2 refuses all of them for one
        if len(call.resource_ids) == 1:
            return Mutation(replayed=True)
        each = [remove_tags.fn(msgspec.structs.replace(call, resource_ids=[one])) for one in call.resource_ids]
        sent = next((result.request_id for result in each if result.request_id), "")
        return Mutation(request_id=sent, replayed=all(result.replayed for result in each))
    return Mutation(request_id=request_id(answer))
