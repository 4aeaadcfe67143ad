"""What a type checker must refuse. Each comment silences one error of one checker; a line that is accepted leaves its
comment unused, which is an error in both."""

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationHandle,
    OrchestrationQuery,
    RetryPolicy,
    Saga,
    TaskHubClient,
    WorkerOptions,
    activity,
    orchestration,
    run,
)

from .shop import Order, Receipt, charge, checkout, nightly, price, refund

# Arguments are the user's own.
charge("not an order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
charge()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
charge(Order("1", 2), 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
price("a", discont=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
price.options(timeout=3)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
checkout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
checkout(Order("1", 2), Order("1", 2))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
checkout.options(version="2")("not an order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
nightly(Order("1", 2))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# Options have names and types.
charge.options(timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
charge.options(instance_id="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
charge.options(3)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
checkout.options(timeout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
RetryPolicy(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
RetryPolicy(max_attempt=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
RetryPolicy(retry_if=lambda: True)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
WorkerOptions(versions="strict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
OrchestrationQuery(statuses="running")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RetryPolicy().max_attempts = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Decorators.
@activity(timeout="30")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]
def timeout_as_text() -> None: ...


@activity("positional-name")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def name_by_position() -> None: ...


@orchestration  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def no_context() -> int:
    return 1


@orchestration  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def wrong_context(order: Order) -> int:
    return 1


@orchestration  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def not_async(ctx: OrchestrationContext) -> int:
    return 1


@orchestration(retry=None)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
async def retry_on_the_definition(ctx: OrchestrationContext) -> int:
    return 1


# Results keep their type, and what the context tells is read-only.
async def inside(ctx: OrchestrationContext, order: Order) -> None:
    text: str = await charge(order)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    number: int = await ctx.wait_for_event("order", Order)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    ctx.instance_id = "another"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ctx.start(checkout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.start(checkout, "not an order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.start(charge, order)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.wait_for_event()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    ctx.call_sub_orchestration("a", 1, 2)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    print(text, number)


async def compensations(saga: Saga, order: Order) -> None:
    await saga.do(charge(order), undo=refund)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    saga.compensate(refund)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    saga.compensate(refund, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def outside(client: TaskHubClient, order: Order) -> None:
    await client.start(checkout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(checkout, "not an order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(nightly, order)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(charge, order)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(checkout, order, "positional-id")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    wrong: OrchestrationHandle[str] = await client.start(checkout, order)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    receipt: Receipt = await client.handle("a", Order).result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    number: int = await run(checkout, order)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    await run(checkout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await run("by.name")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await client.terminate("a", "why", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.purge(OrchestrationQuery(), True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.query()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    print(wrong, receipt, number)
