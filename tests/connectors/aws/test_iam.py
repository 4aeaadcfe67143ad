"""Roles, policies and instance profiles."""

from typing import Any

import pytest

from connectors.aws import iam
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import AlreadyExists, Conflict, NotFound, Permanent
from tests.connectors.aws.samples import DOCUMENT, policy, profile, role

EC2_TRUST = iam.trust("ec2.amazonaws.com")


def roles(name: str = "desk") -> list[str]:
    found: iam.InstanceProfile = iam.get_instance_profile.fn(iam.InstanceProfileName(name=name))
    return list(found.roles)


def test_a_role_has_what_was_asked_for(aws: AwsServer) -> None:
    call = iam.CreateRole(
        name="clerk", trust_policy=EC2_TRUST, path="/shop/", description="works", tags={"team": "blue"}
    )
    made = iam.create_role.fn(call)
    assert made.created
    assert made.arn.endswith(":role/shop/clerk")
    found = iam.get_role.fn(iam.RoleName(name="clerk"))
    assert (found.arn, found.tags["team"]) == (made.arn, "blue")
    trusted: Any = aws_call("iam", "get_role", {"RoleName": "clerk"})["Role"]["AssumeRolePolicyDocument"]
    assert trusted["Statement"][0]["Principal"] == {"Service": ["ec2.amazonaws.com"]}


def test_a_role_of_another_call_is_refused_or_used_and_told_apart(aws: AwsServer) -> None:
    first = iam.create_role.fn(iam.CreateRole(name="clerk", trust_policy=EC2_TRUST))
    with pytest.raises(AlreadyExists):
        iam.create_role.fn(iam.CreateRole(name="clerk", trust_policy=EC2_TRUST))
    used = iam.create_role.fn(iam.CreateRole(name="clerk", trust_policy=EC2_TRUST, existing="use"))
    assert (used.arn, used.created, used.replayed) == (first.arn, False, False)


def test_a_role_with_policies_is_a_conflict_unless_it_is_emptied_first(aws: AwsServer) -> None:
    iam.attach_role_policy.fn(iam.RolePolicy(role=role(), policy_arn=policy()))
    iam.put_role_policy.fn(iam.PutRolePolicy(role="clerk", policy_name="inline", document=DOCUMENT))
    iam.add_role_to_instance_profile.fn(iam.InstanceProfileRole(name=profile(), role="clerk"))
    with pytest.raises(Conflict):
        iam.delete_role.fn(iam.DeleteRole(name="clerk"))
    assert not iam.delete_role.fn(iam.DeleteRole(name="clerk", empty=True)).replayed
    assert roles() == []
    with pytest.raises(NotFound):
        iam.get_role.fn(iam.RoleName(name="clerk"))


def test_what_is_missing_is_gone_already(aws: AwsServer) -> None:
    assert iam.delete_role.fn(iam.DeleteRole(name="nobody")).replayed
    assert iam.delete_role.fn(iam.DeleteRole(name="nobody", empty=True)).replayed
    assert iam.detach_role_policy.fn(iam.RolePolicy(role="nobody", policy_arn="arn:aws:iam::1:policy/x")).replayed
    assert iam.delete_role_policy.fn(iam.DeleteRolePolicy(role="nobody", policy_name="x")).replayed
    assert iam.delete_instance_profile.fn(iam.InstanceProfileName(name="nobody")).replayed
    assert iam.remove_role_from_instance_profile.fn(iam.InstanceProfileRole(name="nobody", role="x")).replayed


def test_what_a_policy_is_attached_to_must_be_there(aws: AwsServer) -> None:
    with pytest.raises(NotFound):
        iam.attach_role_policy.fn(iam.RolePolicy(role="nobody", policy_arn=policy()))
    with pytest.raises(NotFound):
        iam.attach_role_policy.fn(iam.RolePolicy(role=role(), policy_arn="arn:aws:iam::123456789012:policy/none"))


def test_a_document_that_is_none_is_permanent(aws: AwsServer) -> None:
    call = iam.PutRolePolicy(role=role(), policy_name="inline", document={"Statement": "everything"})
    with pytest.raises(Permanent) as raised:
        iam.put_role_policy.fn(call)
    assert raised.value.code == "MalformedPolicyDocument"


def test_a_profile_holds_one_role_and_the_same_again_is_no_error(aws: AwsServer) -> None:
    name = profile(with_role=True)
    assert iam.add_role_to_instance_profile.fn(iam.InstanceProfileRole(name=name, role="clerk")).replayed
    with pytest.raises(Permanent) as raised:
        iam.add_role_to_instance_profile.fn(iam.InstanceProfileRole(name=name, role=role("other")))
    assert raised.value.code == "LimitExceeded"
    assert roles() == ["clerk"]


def test_a_profile_of_another_call_is_refused_or_used_and_told_apart(aws: AwsServer) -> None:
    first = iam.create_instance_profile.fn(iam.CreateInstanceProfile(name="desk", tags={"team": "blue"}))
    with pytest.raises(AlreadyExists):
        iam.create_instance_profile.fn(iam.CreateInstanceProfile(name="desk"))
    used = iam.create_instance_profile.fn(iam.CreateInstanceProfile(name="desk", existing="use"))
    assert (used.arn, used.created) == (first.arn, False)
    assert iam.get_instance_profile.fn(iam.InstanceProfileName(name="desk")).tags["team"] == "blue"
