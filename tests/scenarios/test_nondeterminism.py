"""Code that no longer fits its history: both sides are told, and a fixed deployment goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dtf_runtime import (
    NonDeterminismError,
    NonDeterminismPolicy,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    WorkerOptions,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, eventually, listening

FAIL = WorkerOptions(non_determinism=NonDeterminismPolicy.FAIL, shutdown_grace=0.5)
FEW_DELIVERIES = WorkerOptions(max_delivery_count=2, shutdown_grace=0.5)

Prefix = Callable[[OrchestrationContext], Awaitable[Any]]


class Flow:
    """ "flow" makes one decision, then waits for "go". What it decides differs from deployment to deployment."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        parts = Registry()

        @activity(name="pack", registry=parts)
        async def pack(what: str = "box") -> str:
            self.ran.append("pack")
            return what

        @activity(name="ship", registry=parts)
        async def ship() -> str:
            self.ran.append("ship")
            return "shipped"

        @orchestration(name="helper", registry=parts)
        async def helper(ctx: OrchestrationContext) -> str:
            return "helped"

        self.pack, self.ship, self.helper, self.parts = pack, ship, helper, parts

    def deploy(self, prefix: Prefix) -> tuple[Registry, Any]:
        registry = Registry().update(self.parts)

        @orchestration(name="flow", registry=registry)
        async def flow(ctx: OrchestrationContext) -> str:
            await prefix(ctx)
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("go")
            return await self.ship()

        return registry, flow

    async def packs(self, ctx: OrchestrationContext) -> None:
        await self.pack()

    async def ships(self, ctx: OrchestrationContext) -> None:
        await self.ship()

    async def sleeps(self, ctx: OrchestrationContext) -> None:
        await asyncio.sleep(0.01)

    async def is_helped(self, ctx: OrchestrationContext) -> None:
        await self.helper()

    async def sends(self, ctx: OrchestrationContext) -> None:
        ctx.send_event("someone", "hello")

    async def starts(self, ctx: OrchestrationContext) -> None:
        ctx.start(self.helper, instance_id="detached")

    async def does_nothing(self, ctx: OrchestrationContext) -> None: ...

    async def packs_and_ships(self, ctx: OrchestrationContext) -> None:
        await self.pack()
        await self.ship()

    async def packs_while_shipping(self, ctx: OrchestrationContext) -> None:
        await asyncio.gather(self.pack(), self.ship())

    async def ends(self, ctx: OrchestrationContext) -> None:
        raise ValueError("ended early")

    async def continues(self, ctx: OrchestrationContext) -> None:
        ctx.continue_as_new()


async def start_and_leave(hub: Hub, flow: Flow, before: Prefix) -> str:
    """An instance of the old deployment that stands at its event, its worker gone."""
    registry, definition = flow.deploy(before)
    async with hub.worker(registry):
        handle = await hub.client.start(definition)
        await hub.until_custom_status(handle, "waiting")
    flow.ran.clear()
    return str(handle.instance_id)


CHANGES = {
    "another activity": ("packs", "ships", ["pack", "ship"]),
    "a timer instead of an activity": ("packs", "sleeps", ["pack", "timer"]),
    "an activity instead of a timer": ("sleeps", "packs", ["timer", "pack"]),
    "a child instead of an activity": ("packs", "is_helped", ["pack", "helper"]),
    "an activity instead of a child": ("is_helped", "packs", ["helper", "pack"]),
    "an event instead of an activity": ("packs", "sends", ["pack", "hello"]),
    "a detached start instead of an event": ("sends", "starts", ["hello", "helper"]),
    "a child instead of a detached start": ("starts", "is_helped", ["helper"]),
    "a decision that is never reached": ("packs", "does_nothing", ["pack"]),
    "one decision more than history holds": ("packs", "packs_and_ships", ["ship"]),
    "one decision more in the same turn": ("packs", "packs_while_shipping", ["ship"]),
    "an end that history does not hold": ("packs", "ends", ["complet"]),
    "a new generation that history does not hold": ("packs", "continues", ["contin"]),
}


@pytest.mark.parametrize(("before", "after", "told"), list(CHANGES.values()), ids=list(CHANGES))
async def test_each_kind_is_told_with_both_sides_and_fails_the_instance_when_so_set(
    hub: Hub, before: str, after: str, told: list[str]
) -> None:
    flow = Flow()
    instance_id = await start_and_leave(hub, flow, getattr(flow, before))
    changed, _ = flow.deploy(getattr(flow, after))
    async with hub.worker(changed, FAIL):
        await hub.client.raise_event(instance_id, "go")
        state = await hub.client.handle(instance_id).wait(WAIT)
        await hub.bystander_runs()
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(NonDeterminismError)
    for side in told:
        assert side in state.failure.message.lower()
    assert "test_nondeterminism.py" in state.failure.message + state.failure.stack_trace
    assert flow.ran == []  # nothing that the changed code asked for was done


async def test_by_default_the_instance_keeps_running_and_a_fixed_deployment_goes_on(hub: Hub) -> None:
    flow = Flow()
    instance_id = await start_and_leave(hub, flow, flow.packs)
    before = await hub.state(instance_id)
    changed, _ = flow.deploy(flow.ships)
    with listening() as heard:
        async with hub.worker(changed):
            await hub.client.raise_event(instance_id, "go")
            await eventually(lambda: any("pack" in line and "ship" in line for line in heard), "it is reported")
            await hub.bystander_runs()
            state = await hub.state(instance_id)
    assert state.status == OrchestrationStatus.RUNNING
    assert (state.history_length, state.custom_status) == (before.history_length, "waiting")
    assert flow.ran == []
    fixed, _ = flow.deploy(flow.packs)
    async with hub.worker(fixed):
        assert await hub.client.handle(instance_id, str).result(WAIT) == "shipped"
    assert flow.ran == ["ship"]


async def test_being_blocked_does_not_count_as_a_delivery(hub: Hub) -> None:
    flow = Flow()
    instance_id = await start_and_leave(hub, flow, flow.packs)
    changed, _ = flow.deploy(flow.ships)
    await hub.client.raise_event(instance_id, "go")
    for _ in range(4):
        async with hub.worker(changed, FEW_DELIVERIES):
            await hub.bystander_runs()
        assert (await hub.state(instance_id)).status == OrchestrationStatus.RUNNING
    fixed, _ = flow.deploy(flow.packs)
    async with hub.worker(fixed, FEW_DELIVERIES):
        assert await hub.client.handle(instance_id, str).result(WAIT) == "shipped"


async def test_other_arguments_are_reported_and_history_stands(hub: Hub) -> None:
    flow = Flow()
    instance_id = await start_and_leave(hub, flow, flow.packs)

    async def packs_a_bag(ctx: OrchestrationContext) -> None:
        assert await flow.pack("bag") == "box"  # the recorded result

    changed, _ = flow.deploy(packs_a_bag)
    with listening() as heard:
        async with hub.worker(changed, FAIL):
            await hub.client.raise_event(instance_id, "go")
            assert await hub.client.handle(instance_id, str).result(WAIT) == "shipped"
    assert any("pack" in line and "WARNING" in line for line in heard)
    assert flow.ran == ["ship"]


async def test_a_blocked_instance_can_still_be_terminated(hub: Hub) -> None:
    flow = Flow()
    instance_id = await start_and_leave(hub, flow, flow.packs)
    changed, _ = flow.deploy(flow.ships)
    async with hub.worker(changed):
        await hub.client.raise_event(instance_id, "go")
        await hub.bystander_runs()
        await hub.client.terminate(instance_id, "hopeless")
        assert (await hub.client.handle(instance_id).wait(WAIT)).status == OrchestrationStatus.TERMINATED
    assert flow.ran == []
