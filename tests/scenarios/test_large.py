"""Payloads of ten megabytes go through every door."""

import pytest

from dtf_runtime import OrchestrationContext, Registry, activity, orchestration
from tests.scenarios.support import Hub, Sizes


def text_of(size: int) -> str:
    """Not just ASCII, so that characters and bytes are told apart."""
    return ("0123456789abcdé" * (size // 16 + 1))[: size - size // 16]


async def test_through_input_activity_child_and_result(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    @activity(registry=registry)
    async def same(text: str) -> str:
        return text

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, text: str) -> str:
        return text

    @orchestration(registry=registry)
    async def mirror(ctx: OrchestrationContext, text: str) -> str:
        return await child(await same(text))

    text = text_of(sizes.payload_bytes)
    async with hub.worker(registry):
        handle = await hub.client.start(mirror, text)
        result = await handle.result(sizes.patience)
    assert len(result) == len(text)
    assert hash(result) == hash(text)  # a failing == of ten megabytes would be drawn as a diff
    state = await hub.state(handle)
    assert (hash(state.input), hash(state.output)) == (hash(text), hash(text))


async def test_through_an_event_and_continue_as_new(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    @orchestration(registry=registry)
    async def carrier(ctx: OrchestrationContext, text: str) -> str:
        if not text:
            ctx.continue_as_new(await ctx.wait_for_event("text", str))
        return text

    text = text_of(sizes.payload_bytes)
    async with hub.worker(registry):
        handle = await hub.client.start(carrier, "")
        await hub.client.raise_event(handle.instance_id, "text", text)
        result = await handle.result(sizes.patience)
    assert hash(result) == hash(text)


@pytest.mark.parametrize("count", [20])
async def test_many_middling_ones_at_once(hub: Hub, registry: Registry, sizes: Sizes, count: int) -> None:
    @activity(registry=registry)
    async def fill(n: int, size: int) -> bytes:
        return bytes([n]) * size

    @orchestration(registry=registry)
    async def collect(ctx: OrchestrationContext, size: int) -> list[int]:
        calls = [fill(n, size) for n in range(count)]
        return [(await call)[-1] for call in calls]

    async with hub.worker(registry):
        assert await hub.run(collect, sizes.payload_bytes // count, within=sizes.patience) == list(range(count))
