"""Delivers one logical call several times: within one activity of a real hub, so that all of them have the same idempotency key."""

import itertools
from collections.abc import Callable
from typing import Any

from connectors.core import ConnectorError
from dtf_runtime import Activity, OrchestrationContext, Registry, activity, orchestration
from dtf_runtime.testing import TestHub

_registry = Registry()
_numbers = itertools.count()
_calls: dict[int, tuple[Activity[..., Any], Any, int, Callable[[], None]]] = {}
_results: dict[int, list[Any]] = {}


@activity(name="tests.aws.deliver", registry=_registry)
def _deliver(number: int) -> None:
    function, call, times, between = _calls.pop(number)
    for nth in range(times):
        if nth:
            between()
        try:
            _results[number].append(function.fn(call))
        except ConnectorError as error:
            _results[number].append(error)


@orchestration(name="tests.aws.one_call", registry=_registry)
async def _one_call(ctx: OrchestrationContext, number: int) -> None:
    await _deliver(number)


async def delivered(
    function: Activity[..., Any], call: Any, times: int = 2, between: Callable[[], None] = lambda: None
) -> list[Any]:
    """What each delivery ended with: a result, or the connector's error. `between` runs before each but the first."""
    number = next(_numbers)
    _calls[number], _results[number] = (function, call, times, between), []
    async with TestHub(registry=_registry) as hub:
        handle = await hub.client.start(_one_call, number)
        await handle.result(60)
    return _results.pop(number)
