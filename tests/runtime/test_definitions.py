"""Decorated functions, their options, the retry policy's checks, and the registry's rules."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime.checks import MAX_INSTANCE_ID, MAX_NAME, check_instance_id
from dtf_runtime.definitions import (
    Activity,
    Call,
    ChildCall,
    Orchestration,
    Registry,
    RetryPolicy,
    activity,
    default_registry,
    orchestration,
    version_key,
)
from dtf_runtime.errors import DuplicateDefinitionError, InvalidArgumentError, OutsideOrchestrationError

registry = Registry()


@activity(registry=registry)
async def double(n: int) -> int:
    """Twice as much."""
    return 2 * n


@activity(registry=registry, name="shop.triple", version="2", timeout=timedelta(seconds=3), tags={"team": "shop"})
def triple(n: int) -> int:
    return 3 * n


@orchestration(registry=registry)
async def flow(ctx: Any, n: int) -> int:
    return n + 1


class Recorder:
    """A scheduler that takes calls down, as the loop of an orchestration has one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls: list[tuple[str, tuple[Any, ...], Mapping[str, Any]]] = []

    def call_activity(self, called: Activity[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call[Any]:
        self.calls.append((called.name, args, kwargs))
        return Call(loop=self.loop)

    def call_orchestration(
        self, called: Orchestration[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ChildCall[Any]:
        self.calls.append((called.name, args, kwargs))
        return ChildCall(loop=self.loop)


def in_a_loop_with_a_scheduler(main: Callable[[], Coroutine[Any, Any, None]]) -> Recorder:
    loop = asyncio.new_event_loop()
    recorder = Recorder(loop)
    loop.scheduler = recorder  # type: ignore[attr-defined]
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return recorder


def test_a_call_goes_at_once_to_the_scheduler_of_the_running_loop() -> None:
    async def main() -> None:
        first, second, child = double(1), triple.options(timeout=9)(n=2), flow(3)
        assert [type(call) for call in (first, second, child)] == [Call, Call, ChildCall]
        assert all(isinstance(call, asyncio.Future) for call in (first, second, child))

    assert in_a_loop_with_a_scheduler(main).calls == [
        ("double", (1,), {}),
        ("shop.triple", (), {"n": 2}),
        ("flow", (3,), {}),
    ]


async def test_elsewhere_an_activity_runs_its_plain_function_and_is_awaited() -> None:
    assert await double(4) == 8
    assert await triple(4) == 12
    assert await triple.options(timeout=1)(n=4) == 12
    assert inspect.iscoroutine(pending := triple(5))
    assert await pending == 15


def test_elsewhere_an_orchestration_says_what_to_do() -> None:
    with pytest.raises(OutsideOrchestrationError) as refusal:
        flow(1)
    for hint in ("await client.start(flow, input)", "await run(flow, input)", "TestHub", "flow.fn(ctx, input)"):
        assert hint in str(refusal.value)


async def test_the_undecorated_function_is_at_hand() -> None:
    assert await flow.fn(None, 1) == 2  # type: ignore[arg-type]
    assert triple.fn(1) == 3
    assert (double.is_async, triple.is_async) == (True, False)


def test_a_decorated_function_looks_like_itself() -> None:
    assert double.__doc__ == "Twice as much."
    assert (double.__name__, double.__qualname__, double.__module__) == ("double", "double", __name__)  # type: ignore[attr-defined]
    assert inspect.signature(double) == inspect.signature(double.fn)
    assert repr(triple) == "<activity 'shop.triple' version '2'>"
    assert repr(flow) == "<orchestration 'flow'>"


def test_names_default_to_the_qualified_name_and_durations_become_seconds() -> None:
    assert (double.name, double.version, double.timeout, double.tags) == ("double", "", None, {})
    assert (triple.name, triple.version, triple.timeout, triple.tags) == ("shop.triple", "2", 3.0, {"team": "shop"})


class Tools:
    @staticmethod
    @activity(registry=registry)
    async def wrench(n: int) -> int:
        return n


async def test_a_static_method_is_an_activity() -> None:
    assert registry.get_activity("Tools.wrench") is Tools.wrench
    assert await Tools.wrench(3) == 3
    assert await Tools().wrench(3) == 3


def test_options_give_a_copy_and_leave_the_rest_alone() -> None:
    policy = RetryPolicy(max_attempts=9)
    changed = triple.options(retry=policy, heartbeat_timeout=2)
    assert (changed.retry, changed.heartbeat_timeout, changed.timeout) == (policy, 2.0, 3.0)
    assert (triple.retry, triple.heartbeat_timeout) == (None, None)
    assert changed.options(retry=None, timeout=None, tags={}).timeout is None
    assert (changed.fn, changed.parameters, changed.name) == (triple.fn, triple.parameters, triple.name)


def test_options_of_a_child() -> None:
    changed = flow.options(instance_id="child-1", version="7", retry=RetryPolicy(), tags={"a": ""})
    assert (changed.instance_id, changed.version, changed.tags) == ("child-1", "7", {"a": ""})
    assert changed.options(version=None).version == ""
    assert changed.options(instance_id=None).instance_id is None
    assert (flow.instance_id, flow.version, flow.retry, flow.tags) == (None, "", None, {})


WRONG_OPTIONS: list[dict[str, Any]] = [
    {"retry": 3},
    {"timeout": -1},
    {"timeout": 0},
    {"timeout": float("nan")},
    {"timeout": "3"},
    {"heartbeat_timeout": True},
    {"tags": {"a": 1}},
    {"tags": {"": "a"}},
    {"tags": {1: "a"}},
    {"tags": [("a", "b")]},
    {"tags": None},
]


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
def test_wrong_options_of_an_activity_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        double.options(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"instance_id": ""},
        {"instance_id": 3},
        {"instance_id": "x" * 10_000},
        {"instance_id": "a\nb"},
        {"instance_id": "\ud800"},
        {"version": 2},
        {"version": "\x00"},
        {"retry": "often"},
        {"tags": {"a": None}},
    ],
    ids=lambda options: str(options)[:30],
)
def test_wrong_options_of_a_child_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        flow.options(**options)


def test_ids_may_hold_any_printable_text() -> None:
    for fine in ("order-7", "a/b c", "größe ☃", "x" * MAX_INSTANCE_ID):
        assert check_instance_id(fine) == fine


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "a\tb", 3, "\udc80"])
def test_wrong_names_and_versions_are_refused_at_decoration(name: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="the name of an activity"):
        activity(name=name, registry=Registry())(lambda: None)
    if name != "":
        with pytest.raises(InvalidArgumentError, match="version"):
            orchestration(version=name, registry=Registry())(flow.fn)


async def no_parameters() -> None: ...
async def three(ctx: Any, a: int, b: int) -> None: ...
async def rest(ctx: Any, *a: int) -> None: ...
async def keyword(ctx: Any, *, a: int) -> None: ...
async def keywords(ctx: Any, **a: int) -> None: ...
def not_async(ctx: Any) -> None: ...
async def generator(ctx: Any) -> Any:
    yield ctx


@pytest.mark.parametrize("fn", [no_parameters, three, rest, keyword, keywords, not_async, generator])
def test_an_orchestration_of_another_shape_is_refused_at_decoration(fn: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"orchestration '{fn.__name__}' (takes|must|is a)"):
        orchestration(registry=Registry())(fn)


class Machine:
    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...


WRONG_FUNCTIONS: list[tuple[Any, str]] = [
    (Machine, "takes a function"),
    (Machine.method, "put @staticmethod above @activity"),
    (Machine.__dict__["of_class"], "put @staticmethod above @activity, not below"),
    (staticmethod(no_parameters), "put @staticmethod above @activity, not below"),
    (generator, "is a generator"),
    (double, "decorated already"),
    (flow, "decorated already"),
    (lambda: None, "write @activity"),
    (functools.partial(print), "write @activity"),
    (3, "write @activity"),
]


@pytest.mark.parametrize(("fn", "says"), WRONG_FUNCTIONS)
def test_what_can_not_be_an_activity_is_refused_at_decoration(fn: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        activity(registry=Registry())(fn)


def test_a_partial_function_with_a_name_is_an_activity() -> None:
    add = activity(name="add-one", registry=Registry())(functools.partial(lambda a, b: a + b, 1))
    assert asyncio.run(add(2)) == 3
    assert add.parameters.encode_call((2,), {}, "the call") == b"[2]"


WRONG_POLICIES: list[dict[str, Any]] = [
    {"max_attempts": 0},
    {"max_attempts": 2.0},
    {"max_attempts": True},
    {"first_interval": -1},
    {"first_interval": None},
    {"backoff_coefficient": 0.5},
    {"backoff_coefficient": float("inf")},
    {"backoff_coefficient": float("nan")},
    {"backoff_coefficient": "2"},
    {"max_interval": timedelta(seconds=-1)},
    {"timeout": float("nan")},
    {"jitter": 1.5},
    {"jitter": -0.1},
    {"jitter": float("nan")},
    {"retry_if": "always"},
    {"non_retriable": ValueError},
    {"non_retriable": [ValueError]},
    {"non_retriable": (3,)},
    {"non_retriable": (int,)},
]


@pytest.mark.parametrize("options", WRONG_POLICIES, ids=str)
def test_a_wrong_retry_policy_is_refused_when_it_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=f"RetryPolicy.{next(iter(options))}"):
        RetryPolicy(**options)


def test_a_retry_policy_takes_durations_of_both_kinds() -> None:
    policy = RetryPolicy(first_interval=timedelta(seconds=1), max_interval=60, timeout=timedelta(hours=1), jitter=1)
    assert policy == RetryPolicy(
        first_interval=timedelta(seconds=1), max_interval=60, timeout=timedelta(hours=1), jitter=1
    )
    assert RetryPolicy(non_retriable=(ValueError, "shop.Declined"), backoff_coefficient=1).max_attempts == 3


# == Registry =========================================================================================================


def copy_of(source: str, module: str = "shop") -> Any:
    """A new function from the same source, as a reload of its module makes it."""
    scope: dict[str, Any] = {"__name__": module}
    exec(source, scope)
    return scope["again"]


SOURCE = "async def again(n): return n"


def test_a_registry_gives_definitions_by_name_and_version() -> None:
    made = Registry(double, triple).add(flow)
    assert made.get_activity("double") is double
    assert made.get_activity("shop.triple", "2") is triple
    assert made.get_activity("shop.triple") is None
    assert made.get_activity("flow") is None
    assert made.get_orchestration("flow") is flow
    assert made.activities() == (double, triple)
    assert Registry().update(made).orchestrations() == (flow,)


def test_the_same_function_again_replaces() -> None:
    made = Registry()
    activity(registry=made)(copy_of(SOURCE))
    second = activity(registry=made)(copy_of(SOURCE))
    assert made.get_activity("again") is second
    assert made.add(second, second.options(timeout=1)).activities()[0].timeout == 1.0


def test_another_function_of_the_same_name_is_refused_and_changes_nothing() -> None:
    made = Registry()
    first = activity(registry=made)(copy_of(SOURCE, "shop"))
    with pytest.raises(DuplicateDefinitionError, match=r"'again' is already defined by shop\.again.*bakery\.again"):
        activity(registry=made)(copy_of(SOURCE, "bakery"))
    assert made.activities() == (first,)
    activity(registry=made, version="2")(copy_of(SOURCE, "bakery"))
    assert len(made.activities()) == 2


def test_local_functions_of_one_name_are_not_the_same_function() -> None:
    def make() -> Any:
        async def local() -> None: ...

        return local

    made = Registry()
    activity(registry=made)(make())
    with pytest.raises(DuplicateDefinitionError, match="give one of them another name= or version="):
        activity(registry=made)(make())


def test_an_activity_and_an_orchestration_may_share_a_name() -> None:
    made = Registry()
    activity(name="both", registry=made)(no_parameters)
    orchestration(name="both", registry=made)(flow.fn)
    assert (len(made.activities()), len(made.orchestrations())) == (1, 1)


def test_versions_come_in_natural_order() -> None:
    made = Registry()
    for version in ("10", "1.10", "2", "", "1.9", "v2", "2-beta"):
        orchestration(name="flow", version=version, registry=made)(flow.fn)
    assert made.orchestration_versions("flow") == ("", "1.9", "1.10", "2", "2-beta", "10", "v2")
    assert made.orchestration_versions("unknown") == ()
    assert version_key("1.9") < version_key("1.10") < version_key("1.²")


@pytest.mark.parametrize("wrong", [no_parameters, None, "double", Registry()])
def test_a_registry_takes_definitions_only(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="@activity or @orchestration"):
        Registry(wrong)
    if not isinstance(wrong, Registry):
        with pytest.raises(InvalidArgumentError, match="takes a Registry"):
            Registry().update(wrong)


def test_decorators_use_the_default_registry_unless_told() -> None:
    name = "tests.runtime.test_definitions.only_here"
    made = activity(name=name)(no_parameters)
    assert default_registry.get_activity(name) is made
    assert default_registry.get_activity("double") is not double
