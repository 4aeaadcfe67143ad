"""Versions side by side, the two policies, and patches of code that is already running."""

import asyncio
from typing import Any

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    VersionPolicy,
    WorkerOptions,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub

CURRENT_OR_OLDER = WorkerOptions(versions=VersionPolicy.CURRENT_OR_OLDER, shutdown_grace=0.5)


def deploy(registry: Registry, version: str) -> Any:
    """A registered version of "report" that says which code it is once it is told to go on."""

    @orchestration(name="report", version=version, registry=registry)
    async def report(ctx: OrchestrationContext) -> str:
        await ctx.wait_for_event("go")
        return f"code {version or 'unversioned'}, instance {ctx.version or 'unversioned'}"

    return report


async def finish(hub: Hub, instance_id: str) -> str:
    await hub.client.raise_event(instance_id, "go")
    return await hub.client.handle(instance_id, str).result(WAIT)


async def test_versions_run_side_by_side_and_an_instance_keeps_its_own(hub: Hub, registry: Registry) -> None:
    first, second, plain = (deploy(registry, version) for version in ("1", "2", ""))
    async with hub.worker(registry):
        await hub.client.start(first, instance_id="first")
        await hub.client.start(second, instance_id="second")
        await hub.client.start(second, instance_id="asked", version="1")
        await hub.client.start(plain, instance_id="plain")
        await hub.client.start("report", instance_id="named")
        await hub.client.start("report", instance_id="named 2", version="2")
    async with hub.worker(registry):
        assert await finish(hub, "first") == "code 1, instance 1"
        assert await finish(hub, "second") == "code 2, instance 2"
        assert await finish(hub, "asked") == "code 1, instance 1"
        assert await finish(hub, "plain") == "code unversioned, instance unversioned"
        assert await finish(hub, "named") == "code unversioned, instance unversioned"
        assert await finish(hub, "named 2") == "code 2, instance 2"


async def test_a_strict_worker_leaves_versions_it_does_not_have_to_others(hub: Hub, registry: Registry) -> None:
    both = Registry()
    newest = deploy(registry, "2")
    for version in ("1", "2"):
        deploy(both, version)
    async with hub.worker(registry):
        await hub.client.start("report", instance_id="old", version="1")
        await hub.client.start(newest, instance_id="new")
        assert await finish(hub, "new") == "code 2, instance 2"
        assert (await hub.state("old")).status in {OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING}
    async with hub.worker(both):
        assert await finish(hub, "old") == "code 1, instance 1"


async def test_current_or_older_runs_an_older_version_on_the_newest_registered(hub: Hub, registry: Registry) -> None:
    for version in ("1.9", "1.10", "1.2"):
        deploy(registry, version)
    async with hub.worker(registry, CURRENT_OR_OLDER):
        for version in ("", "1", "1.3", "1.2"):
            await hub.client.start("report", instance_id=f"v{version}", version=version)
        assert await finish(hub, "v") == "code 1.10, instance unversioned"
        assert await finish(hub, "v1") == "code 1.10, instance 1"
        assert await finish(hub, "v1.3") == "code 1.10, instance 1.3"
        assert await finish(hub, "v1.2") == "code 1.2, instance 1.2"  # registered: its own code


async def test_current_or_older_leaves_a_newer_version_to_others(hub: Hub, registry: Registry) -> None:
    later = Registry()
    current = deploy(registry, "1.9")
    deploy(later, "1.10")
    async with hub.worker(registry, CURRENT_OR_OLDER):
        await hub.client.start("report", instance_id="newer", version="1.10")
        await hub.client.start(current, instance_id="current")
        assert await finish(hub, "current") == "code 1.9, instance 1.9"
        assert (await hub.state("newer")).status in {OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING}
    async with hub.worker(later, CURRENT_OR_OLDER):
        assert await finish(hub, "newer") == "code 1.10, instance 1.10"


class Patched:
    """ "order" as it was first deployed, and as it is now, with a change that running instances must not see."""

    def __init__(self, before: Registry, after: Registry) -> None:
        self.ran: list[str] = []

        @activity(name="step", registry=before)
        async def step(name: str) -> None:
            self.ran.append(name)

        @orchestration(name="order", registry=before)
        async def order(ctx: OrchestrationContext) -> list[bool]:
            await step("pack")
            ctx.set_custom_status("packed")
            await ctx.wait_for_event("go")
            await step("ship")
            return []

        @orchestration(name="order", registry=after.add(step))
        async def order_now(ctx: OrchestrationContext) -> list[bool]:
            answers = [ctx.patched("check the address")]
            if answers[0]:
                await step("check")
            await step("pack")
            ctx.set_custom_status("packed")
            await ctx.wait_for_event("go")
            answers += [ctx.patched("check the address"), ctx.patched("insure")]
            if answers[2]:
                await step("insure")
            await step("ship")
            answers.append(ctx.patched("check the address"))
            return answers

        self.order = order


async def test_a_patch_is_for_instances_that_had_not_passed_it(hub: Hub, registry: Registry) -> None:
    after = Registry()
    patched = Patched(registry, after)
    async with hub.worker(registry):
        old = await hub.client.start(patched.order)
        await hub.until_custom_status(old, "packed")
    patched.ran.clear()
    async with hub.worker(after):
        await hub.client.raise_event(old.instance_id, "go")
        # It had passed "check the address" before there was one, and comes to "insure" for the first time now.
        assert await old.result(WAIT) == [False, False, True, False]
        assert patched.ran == ["insure", "ship"]
        patched.ran.clear()
        new = await hub.client.start(patched.order)
        await hub.until_custom_status(new, "packed")
        await hub.client.raise_event(new.instance_id, "go")
        assert await new.result(WAIT) == [True, True, True, True]
    assert patched.ran == ["check", "pack", "insure", "ship"]
    assert (await hub.counts(old))["PatchRecorded"] == 1
    assert (await hub.counts(new))["PatchRecorded"] == 2


async def test_a_recorded_patch_stays_on_another_worker(hub: Hub, registry: Registry) -> None:
    before = Registry()
    patched = Patched(before, registry)
    async with hub.worker(registry):
        handle = await hub.client.start(patched.order)
        await hub.until_custom_status(handle, "packed")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go")
        assert await handle.result(WAIT) == [True, True, True, True]
    assert patched.ran == ["check", "pack", "insure", "ship"]


async def test_activities_have_versions_too(hub: Hub, registry: Registry) -> None:
    @activity(name="rate", version="1", registry=registry)
    async def old_rate() -> str:
        return "old"

    @activity(name="rate", version="2", registry=registry)
    async def new_rate() -> str:
        return "new"

    @orchestration(registry=registry)
    async def rates(ctx: OrchestrationContext) -> list[str]:
        return list(await asyncio.gather(old_rate(), new_rate(), ctx.call_activity("rate", version="1")))

    async with hub.worker(registry):
        assert await hub.run(rates) == ["old", "new", "old"]
