"""Every mutating activity, delivered twice, its first answer lost: what it does is done once. Generated from the declarations."""

import asyncio
import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import botocore.client
import botocore.session
import pytest

from connectors.aws import CONNECTOR, ec2, iam, route53, ssm
from connectors.aws.testing import AwsServer, Call
from connectors.core import (
    AlreadyExists,
    Ambiguous,
    ConnectorError,
    Declaration,
    Effect,
    Mutation,
    declaration_of,
    using,
)
from dtf_runtime import Activity
from tests.connectors.aws.delivery import delivered
from tests.connectors.aws.samples import SAMPLES, Sample

MINE = (*ec2.ACTIVITIES, *iam.ACTIVITIES, *route53.ACTIVITIES, *ssm.ACTIVITIES)
CREATING = {Effect.TOKEN, Effect.LOOKUP}
NAMED = {
    "aws.ec2.create_image",
    "aws.ec2.create_security_group",
    "aws.ec2.import_key_pair",
    "aws.iam.create_instance_profile",
    "aws.iam.create_role",
}


def declared(activity: Activity[..., Any]) -> Declaration:
    found = declaration_of(activity)
    assert found is not None, f"{activity.name} does not say how it is effectively once"
    return found


def is_mutating(activity: Activity[..., Any]) -> bool:
    """By what it answers, and not by what it says of itself."""
    result = typing.get_type_hints(activity.fn)["return"]
    return isinstance(result, type) and issubclass(result, Mutation)


SAMPLED = [sample for sample in SAMPLES if declared(sample.activity).effect in CREATING]


def answers(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, ConnectorError):
            raise result
    return results


@pytest.mark.parametrize("activity", CONNECTOR.activities, ids=lambda one: str(one.name))
def test_each_says_how_it_is_effectively_once_and_what_it_needs(activity: Activity[..., Any]) -> None:
    found = declared(activity)
    assert (found.effect is not Effect.READ) is is_mutating(activity)
    assert found.effect is Effect.READ or found.how
    assert found.permissions
    assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", permission) for permission in found.permissions)
    assert inspect.getdoc(activity.fn)


def test_there_is_a_sample_of_every_mutating_activity() -> None:
    assert {sample.activity.name for sample in SAMPLES} == {one.name for one in MINE if is_mutating(one)}


@dataclass
class Story:
    """What happened when one call was delivered twice."""

    sample: Sample
    results: list[Any]
    given: list[tuple[str, dict[str, Any]]]
    """What our code gave to botocore, before botocore fills in tokens of its own."""
    seen: list[Call]
    """What the server saw."""

    @property
    def effect(self) -> Effect:
        return declared(self.sample.activity).effect

    @property
    def done(self) -> int:
        return sum(call.executed for call in self.seen if call.name == self.sample.operation)


@pytest.fixture(scope="module", params=SAMPLES, ids=str)
def story(request: pytest.FixtureRequest, aws_process: AwsServer) -> Iterator[Story]:
    """Told once; several tests look at it."""
    aws, sample = aws_process, request.param
    aws.reset()
    with using(aws.connection()), pytest.MonkeyPatch.context() as patch:
        call = sample.prepare(aws)
        already = len(aws.calls)
        given: list[tuple[str, dict[str, Any]]] = []
        real = botocore.client.BaseClient._make_api_call

        def noted(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
            given.append((f"{self.meta.service_model.service_name}:{operation}", dict(parameters)))
            return real(self, operation, parameters)

        patch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        later = partial(aws.clock.advance, 60)
        results = asyncio.run(delivered(sample.activity, call, between=later))
        yield Story(sample, results, given, aws.calls[already:])


def test_a_second_delivery_is_no_error_and_finds_what_the_first_did(story: Story) -> None:
    first, second = answers(story.results)
    assert 200 in {call.status for call in story.seen if call.name == story.sample.operation}
    assert not first.replayed
    if story.effect in CREATING:
        assert story.done == 1
        assert identity(first) == identity(second)
    if story.effect is Effect.LOOKUP:  # a token's answer is the same, so that only AWS knows
        assert second.replayed


def test_each_operation_that_takes_a_token_is_given_one_by_us_and_the_same_again(story: Story) -> None:
    models = botocore.session.get_session()
    tokens: dict[str, set[str]] = {}
    for name, given in story.given:
        service, _, operation = name.partition(":")
        for member in models.get_service_model(service).operation_model(operation).idempotent_members:
            assert given.get(member), f"{story.sample} leaves {member} of {name} to botocore's dice"
            tokens.setdefault(name, set()).add(given[member])
    assert all(len(values) == 1 for values in tokens.values())
    assert bool(tokens) is (story.effect is Effect.TOKEN)


def test_the_permissions_it_declares_are_those_that_its_calls_need(story: Story) -> None:
    assert story.sample.operation in {call.name for call in story.seen}
    needed = {action for call in story.seen for action in call.actions}
    assert needed <= set(declared(story.sample.activity).permissions)


@pytest.mark.parametrize("sample", SAMPLED, ids=str)
async def test_an_answer_that_was_lost_after_the_work_makes_no_second_one_but_another_call_does(
    aws: AwsServer, sample: Sample
) -> None:
    """Or is refused, where the name is taken: never is it given what is another call's."""
    call = sample.prepare(aws)
    before = aws.count(sample.operation)
    aws.cut(sample.operation, when="after", times=1)
    *_, found = await delivered(sample.activity, call, between=lambda: aws.clock.advance(60))
    assert not isinstance(found, ConnectorError), found
    assert aws.count(sample.operation) - before == 1

    aws.clock.advance(60)
    (other,) = await delivered(sample.activity, call, 1)
    if isinstance(other, ConnectorError):
        assert isinstance(other, AlreadyExists)
        assert sample.activity.name in NAMED
    else:
        assert identity(found) != identity(other)
        assert aws.count(sample.operation) - before == 2


async def test_a_lost_answer_is_ambiguous_where_nothing_tells_a_repeat(aws: AwsServer) -> None:
    labelled = [sample for sample in SAMPLES if declared(sample.activity).effect is Effect.AT_LEAST_ONCE]
    assert [sample.activity.name for sample in labelled] == ["aws.ec2.reboot_instances"]
    for sample in labelled:
        call = sample.prepare(aws)
        aws.cut(sample.operation, when="after", times=1)
        (result,) = await delivered(sample.activity, call, 1)
        assert isinstance(result, Ambiguous)


def identity(result: Any) -> Any:
    """What was made: everything in the result that says an id, a name or an ARN."""
    found = {
        name: getattr(result, name) for name in result.__struct_fields__ if re.search(r"_id$|^arn$|^instances$", name)
    }
    found.pop("request_id", None)
    if "instances" in found:
        found["instances"] = [one.instance_id for one in result.instances]
    return found or result.version
