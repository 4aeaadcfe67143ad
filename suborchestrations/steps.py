"""What every ready orchestration shares: a spec with a deadline, steps that others can watch, undoing in reverse, and a plan that changes nothing.

    async with Steps(ctx, spec, ("group", "running")) as steps:
        group = await steps.make("group", create_group, CreateGroup(...), assumed=..., undo=remove_group)
        await steps.wait("running", lambda: wait_until_running(...), assumed=...)

The undo of a step is registered before its call begins, and finds what was made by its tag or name: an answer that never came leaves nothing
behind. A cancel or the deadline waits for the call that is under way, then undoes. Must never undo what this run did not make.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

import msgspec

from dtf_runtime import Activity, NonRetriableError, OrchestrationContext, RetryPolicy, Saga, TaskFailedError

_R = TypeVar("_R")
_T = TypeVar("_T")
_P = ParamSpec("_P")
_LONGEST_DETAIL = 300  # characters
_MOST_ATTEMPTS = 60
_LONGEST_WAIT = 20.0  # seconds between two attempts
_JITTER = 0.5
State = Literal["pending", "running", "done", "failed", "undone", "skipped"]


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of every spec. Durations in seconds."""

    poll_interval: float = 15.0
    """Between two looks at something that takes its time."""
    deadline: float = 3600.0
    """For all of it but the undoing."""
    on_failure: Literal["rollback", "keep"] = "rollback"
    """What happens to what this run made when it fails, is cancelled or passes its deadline."""
    plan: bool = False
    """Nothing is changed; the outcome's `planned` has the calls that would change something."""


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One activity that the real run would call. Ids that only it would know are written `<like this>`."""

    activity: str
    input: Any


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """Something of this run that still exists."""

    what: str
    id: str
    command: str
    """Removes it."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every output."""

    planned: list[PlannedCall] = msgspec.field(default_factory=list)
    """Of a plan; else empty."""


class StepFailedError(NonRetriableError):
    """A step failed and what this run had made was undone, or kept. `failure.properties` has `step`, `undone` and `left`."""

    def __init__(self, message: str, *, step: str, undone: list[str], left: list[Leftover]) -> None:
        super().__init__(message)
        self.step, self.undone, self.left = step, undone, left

    def failure_properties(self) -> dict[str, Any]:
        return {"step": self.step, "undone": self.undone, "left": msgspec.to_builtins(self.left)}


def patient(activity: Activity[_P, _R]) -> Activity[_P, _R]:
    """The same, for about twenty minutes while it is throttled or the service is away: many runs at once share one limit, and each waits its
    turn. Never a call of its own after the last attempt, which would have another idempotency key."""
    policy = activity.retry or RetryPolicy(max_attempts=1)
    if policy.max_attempts <= 1:
        return activity
    return activity.options(
        retry=dataclasses.replace(policy, max_attempts=_MOST_ATTEMPTS, max_interval=_LONGEST_WAIT, jitter=_JITTER)
    )


class Steps:
    """See the module. `names`: all steps in their order, as they are shown."""

    def __init__(self, ctx: OrchestrationContext, spec: Spec, names: Sequence[str]) -> None:
        self.planned: list[PlannedCall] = []
        self._ctx = ctx
        self._spec = spec
        self._steps = {name: {"name": name, "state": "pending", "detail": ""} for name in names}
        self._current = names[0]
        self._undone: list[str] = []
        self._made: dict[str, Callable[[], list[Leftover]]] = {}
        self._saga = Saga()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_exit(self._conclude)
        await self._stack.enter_async_context(self._saga)
        self._stack.push_async_exit(self._before_undoing)
        await self._stack.enter_async_context(asyncio.timeout(self._spec.deadline))
        self._show()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    # -- steps
    async def make(
        self,
        name: str,
        activity: Activity[[Any], _R],
        input: Any,
        *,
        assumed: _R,
        undo: Callable[[], Awaitable[Any]] | None = None,
        left: Callable[[], list[Leftover]] = list,
        detail: Callable[[_R], str] = lambda made: "",
    ) -> _R:
        """A call that changes something. `assumed` is its answer in a plan. `undo` removes whatever it made, found by tag or name, and is content
        with nothing; `left` names that when it could not be removed, or is kept."""
        if self._spec.plan:
            self.planned.append(PlannedCall(activity=activity.name, input=msgspec.to_builtins(input)))
            self._set(name, "skipped", "planned")
            return assumed
        self._begin(name)
        if undo is not None:
            self._made[name] = left
            self._saga.compensate(self._undo, name, undo)
        made = await self._saga.do(patient(activity)(input), _keep)
        self._set(name, "done", detail(made))
        return made

    async def look(
        self, name: str, call: Callable[[], Awaitable[_R]], *, detail: Callable[[_R], str] = lambda found: ""
    ) -> _R:
        """A call that changes nothing; made in a plan too."""
        self._begin(name)
        found = await call()
        self._set(name, "done", detail(found))
        return found

    async def wait(
        self,
        name: str,
        call: Callable[[], Awaitable[_R]],
        *,
        assumed: _T,
        detail: Callable[[_R], str] = lambda found: "",
    ) -> _R | _T:
        """A look at what only the real run makes. In a plan it is not made, and answers with `assumed`."""
        if not self._spec.plan:
            return await self.look(name, call, detail=detail)
        self._set(name, "skipped", "not in a plan")
        return assumed

    async def change(self, activity: Activity[[Any], Any], input: Any) -> Any:
        """A call that changes something for good, within a step; in a plan it is noted, and answers with None."""
        if self._spec.plan:
            self.planned.append(PlannedCall(activity=activity.name, input=msgspec.to_builtins(input)))
            return None
        return await patient(activity)(input)

    def skip(self, name: str, why: str = "not asked for") -> None:
        self._set(name, "skipped", why)

    def fell_back(self, name: str, detail: str) -> None:
        """The step goes on another way, since the first one did not work out."""
        self._set(name, "running", detail)

    def keep(self, name: str) -> None:
        """What the step made is no more undone."""
        self._made.pop(name, None)

    # -- the end
    async def _undo(self, name: str, undo: Callable[[], Awaitable[Any]]) -> None:
        if name not in self._made:
            return
        self._set(name, "running", "undoing")
        try:
            await undo()
        except Exception as error:
            self._set(name, "failed", f"left behind: {_text(error)}")
            raise
        del self._made[name]
        self._undone.append(name)
        self._set(name, "undone")

    async def _before_undoing(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception | asyncio.CancelledError):
            return
        if self._steps[self._current]["state"] == "running":
            self._set(self._current, "failed", _text(error))
        if self._spec.on_failure == "keep":
            self._saga.forget()

    async def _conclude(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        left = [each for name in self._made for each in self._made[name]()]
        what = "the deadline passed" if isinstance(error, TimeoutError) else _text(error)
        told = f"{self._ctx.instance_id}: step {self._current!r} failed: {what}."
        if self._undone:
            told += f" Undone: {', '.join(self._undone)}."
        if left:
            told += f" Left: {'; '.join(f'{each.what} {each.id} ({each.command})' for each in left)}."
        raise StepFailedError(told, step=self._current, undone=self._undone, left=left) from error

    # -- what others see
    def _begin(self, name: str) -> None:
        self._current = name
        self._set(name, "running")

    def _set(self, name: str, state: State, detail: str = "") -> None:
        self._steps[name] |= {"state": state, "detail": detail}
        self._show()

    def _show(self) -> None:
        self._ctx.set_custom_status({"steps": list(self._steps.values())})


async def _keep(made: object) -> None:
    """Its undo was registered before it began."""


def _text(error: BaseException) -> str:
    if isinstance(error, TaskFailedError):
        text = f"{error.failure.type.rpartition('.')[2]}: {error.failure.message}"
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}..."
