"""The process that is killed, and the one that goes on after it: a real worker on a SQLite hub, with every activity of AWS.

Forked from a server that has this module loaded, so that a start costs milliseconds; each is a process of its own all the same.
"""

import asyncio
import inspect
import multiprocessing
from functools import lru_cache
from typing import Any
from uuid import uuid4

import boto3  # noqa: F401  (so that each process that is forked has it)
import msgspec

from connectors.aws import CONNECTOR, ec2
from connectors.aws.client import aws_call, request_id
from connectors.aws.testing import AwsServer
from connectors.core import DEFAULT_RETRY, Effect, Mutation, declare
from dtf_runtime import (
    Activity,
    OrchestrationContext,
    Registry,
    TaskHubWorker,
    WorkerOptions,
    activity,
    connect,
    orchestration,
)

WRONG = Registry()


@declare(Effect.TOKEN, "ClientToken, or so it says", permissions=("ec2:RunInstances",))
@activity(name="tests.aws.launch_with_a_random_token", retry=DEFAULT_RETRY, registry=WRONG)
def launch_with_a_random_token(call: ec2.RunInstances) -> Mutation:
    """What people write: the proof must find it out."""
    given = {"ImageId": call.image_id, "MinCount": 1, "MaxCount": 1, "ClientToken": uuid4().hex}
    return Mutation(request_id=request_id(aws_call("ec2", "run_instances", given, effect=Effect.TOKEN)))


registry = Registry(*CONNECTOR.activities).update(WRONG)
ACTIVITIES: dict[str, Activity[..., Any]] = {
    one.name: one for one in (*CONNECTOR.activities, launch_with_a_random_token)
}
_LEASE = 1.0  # seconds until another process may take up what the killed one held


class Order(msgspec.Struct, frozen=True):
    activity: str
    input: Any


@orchestration(name="tests.aws.once", registry=registry)
async def once(ctx: OrchestrationContext, order: Order) -> Any:
    """One activity, by its name."""
    found = ACTIVITIES[order.activity]
    return await found(msgspec.convert(order.input, input_of(found)))


def input_of(found: Activity[..., Any]) -> type[Any]:
    (parameter,) = inspect.signature(found.fn, eval_str=True).parameters.values()
    kind: type[Any] = parameter.annotation
    return kind


def start_worker(hub: str, endpoint_url: str) -> "multiprocessing.process.BaseProcess":
    """Runs until it is killed."""
    process: multiprocessing.process.BaseProcess = _context().Process(
        target=_work, args=(hub, endpoint_url), daemon=True
    )
    process.start()
    return process


@lru_cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _work(hub: str, endpoint_url: str) -> None:
    asyncio.run(_run(hub, endpoint_url))


async def _run(hub: str, endpoint_url: str) -> None:
    worker = TaskHubWorker(
        connect(hub),
        registry=registry,
        options=WorkerOptions(lock_duration=_LEASE, shutdown_grace=1.0),
        connections=[AwsServer.at(endpoint_url).connection()],
    )
    await worker.run()
