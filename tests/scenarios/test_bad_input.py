"""Bad input at the client's doors: a clear error of our own, nothing stored, nothing lost, and the worker goes on."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import (
    InvalidArgumentError,
    OrchestrationContext,
    OrchestrationQuery,
    Registry,
)
from tests.scenarios.support import WAIT, Hub, bystander, bystander_step

NAIVE = datetime(2030, 1, 1)

# Ids that work like any other.
ODD_IDS = {
    "slashes": "a/b\\c//d",
    "dots": "../../etc/passwd",
    "unicode": "naïve-\U0001f600-Ω-日本",
    "right to left": "\u202eabc\u2066",
    "spaces": "  a  b  ",
    "quotes": "'; DROP TABLE instances; --\"`",
    "wildcards": "%_*?[a-z]#",
    "separators": "a|b:c@d~1&e=f,g;h",
    "looks like nothing": "None",
}

# Ids that may be refused; one that is accepted must work to the letter.
DOUBTFUL_IDS = {
    "10,000 characters": "x" * 10_000,
    "10,000 wide characters": "\U0001f600" * 10_000,
    "null": "a\x00b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "lone surrogate": "a\ud800b",
}


async def lives_a_whole_life(hub: Hub, instance_id: str) -> None:
    handle = await hub.client.start("echo", "heard", instance_id=instance_id)
    assert await handle.result(WAIT) == "heard"
    state = await hub.state(instance_id)
    assert (state.instance_id, state.output) == (instance_id, "heard")
    query = OrchestrationQuery(instance_id_prefix=instance_id)
    assert [found.instance_id async for found in hub.client.query(query)] == [instance_id]
    assert await hub.kinds(instance_id) == ["ExecutionStarted", "ExecutionCompleted"]
    await hub.client.raise_event(instance_id, "too late")
    await hub.client.restart(instance_id)
    await hub.client.handle(instance_id).wait(WAIT)
    assert (await hub.client.purge(instance_id)).deleted == 1


@pytest.mark.parametrize("instance_id", ODD_IDS.values(), ids=ODD_IDS)
async def test_an_odd_id_works_like_any_other(working: Hub, instance_id: str) -> None:
    await lives_a_whole_life(working, instance_id)
    assert await working.stored() == 0


@pytest.mark.parametrize("instance_id", DOUBTFUL_IDS.values(), ids=DOUBTFUL_IDS)
async def test_a_doubtful_id_works_or_is_refused(working: Hub, instance_id: str) -> None:
    try:
        await lives_a_whole_life(working, instance_id)
    except InvalidArgumentError as error:
        assert re.search("instance.id", str(error))
    assert await working.stored() == 0


@pytest.mark.parametrize("instance_id", ["", 5, b"bytes", ["list"], {}, True], ids=repr)
async def test_what_is_no_id_is_refused_everywhere(working: Hub, instance_id: Any) -> None:
    client = working.client
    doors: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.start("echo", instance_id=instance_id),
        lambda: client.get_state(instance_id),
        lambda: client.get_history(instance_id),
        lambda: client.raise_event(instance_id, "name"),
        lambda: client.terminate(instance_id),
        lambda: client.cancel(instance_id),
        lambda: client.suspend(instance_id),
        lambda: client.resume(instance_id),
        lambda: client.rewind(instance_id),
        lambda: client.restart(instance_id),
        lambda: client.purge(instance_id),
        lambda: client.handle(instance_id).state(),
    ]
    for door in doors:
        with pytest.raises(InvalidArgumentError):
            await door()
    assert await working.stored() == 0


@pytest.mark.parametrize("name", ["", 5, None, b"go", ["go"]], ids=repr)
async def test_what_is_no_event_name_is_refused(working: Hub, name: Any) -> None:
    handle = await working.client.start("echo", start_at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(InvalidArgumentError):
        await working.client.raise_event(handle.instance_id, name)
    await working.client.terminate(handle.instance_id)


@pytest.mark.parametrize("target", [None, 5, "", object(), print, bystander_step], ids=lambda t: type(t).__name__)
async def test_what_is_no_orchestration_cannot_be_started(working: Hub, target: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await working.client.start(target)
    assert await working.stored() == 0


async def test_an_undecorated_function_is_told_to_be_decorated(working: Hub) -> None:
    async def plain(ctx: OrchestrationContext) -> None: ...

    undecorated: Any = plain
    with pytest.raises(InvalidArgumentError, match="@orchestration"):
        await working.client.start(undecorated)


async def test_inputs_that_do_not_fit_the_orchestration_are_refused(working: Hub, registry: Registry) -> None:
    start: Any = working.client.start
    with pytest.raises((InvalidArgumentError, TypeError)):
        await start(bystander, 1, 2, 3)
    with pytest.raises(InvalidArgumentError):
        await start(bystander, "an input it does not take")
    assert await working.stored() == 0


BAD_START = {
    "naive start_at": {"start_at": NAIVE},
    "start_at of another type": {"start_at": 1_700_000_000},
    "tags that are no mapping": {"tags": ["a"]},
    "a tag that is no text": {"tags": {"a": 1}},
    "a tag without a name": {"tags": {"": "x"}},
    "a version that is no text": {"version": 2},
    "reuse that is no collection": {"reuse": 7},
    "reuse of unknown statuses": {"reuse": ["gone"]},
}


@pytest.mark.parametrize("options", BAD_START.values(), ids=BAD_START)
async def test_bad_options_of_start_are_refused(working: Hub, options: dict[str, Any]) -> None:
    start: Any = working.client.start
    with pytest.raises(InvalidArgumentError):
        await start("echo", 1, **options)
    assert await working.stored() == 0
