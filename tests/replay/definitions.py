"""The activities and children that the tests of replay call. None of them is ever run: the tests answer for them."""

from dtf_runtime import OrchestrationContext, Registry, RetryPolicy, activity, orchestration

REGISTRY = Registry()
THREE_TIMES = RetryPolicy(max_attempts=3, first_interval=10.0)


@activity(registry=REGISTRY)
async def first(value: int = 0) -> int:
    return value


@activity(registry=REGISTRY)
async def second(value: int = 0) -> int:
    return value


@activity(registry=REGISTRY)
async def undo(what: str) -> None: ...


@activity(registry=REGISTRY)
async def words(value: int = 0) -> str:
    return ""


@orchestration(registry=REGISTRY)
async def child(ctx: OrchestrationContext, value: int = 0) -> int:
    return value
