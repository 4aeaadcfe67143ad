"""Delivers one logical call several times, as the runtime does when a worker dies: under one idempotency key."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from connectors.core.connections import Connection, using
from dtf_runtime import Activity, OrchestrationContext, Registry, activity, orchestration
from dtf_runtime.testing import TestHub

_LIMIT = 120.0  # seconds


def _nothing() -> None: ...


async def delivered(
    function: Activity[..., Any],
    call: Any,
    *,
    times: int = 2,
    between: Callable[[], None] = _nothing,
    connections: Iterable[Connection] = (),
) -> list[Any]:
    """What each delivery ended with: its result, or the exception. `between` runs before each but the first."""
    ended: list[Any] = []

    async def deliver() -> None:
        for nth in range(times):
            if nth:
                between()
            try:
                ended.append(await _plain(function, call))
            except Exception as error:
                ended.append(error)

    registry = Registry()
    carrier = activity(name=function.name, version=function.version, registry=registry)(deliver)

    @orchestration(name="connectors.core.testing.one_call", registry=registry)
    async def one_call(ctx: OrchestrationContext) -> None:
        await carrier()

    with using(*connections):
        async with TestHub(registry=registry) as hub:
            handle = await hub.client.start(one_call)
            await handle.result(_LIMIT)
    return ended


async def _plain(function: Activity[..., Any], call: Any) -> Any:
    """As a worker runs it: a plain function in a thread, with the same context."""
    return await function.fn(call) if function.is_async else await asyncio.to_thread(function.fn, call)
